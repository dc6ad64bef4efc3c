import type { Codec, Frame } from './codec.js';
import { deadline } from './deadline.js';
import { localError, WeftError } from './errors.js';
import { fromWire, type Connected } from './payloads.js';
import type { TransportName } from './options.js';
import { SLOW, type Transport, type TransportConnection } from './transport.js';

/** Why a connection ended. */
export interface SessionEnd {
  /** The WebSocket's close code; 1006 where there was none. */
  code: number;
  reason: string;
  /** The error frame that went before. */
  error?: WeftError;
}

export interface SessionListener {
  established(session: Session, info: Connected): void;
  frame(session: Session, frame: Frame): void;
  /** Once, and last. */
  ended(session: Session, end: SessionEnd): void;
}

export interface SessionOptions {
  name: TransportName;
  transport: Transport;
  codec: Codec;
  url: string;
  ticket: string | null;
  ticketIn: 'subprotocol' | 'message';
  connectTimeoutMs: number;
  /** Silence after which a ping is sent; undefined for the server's own. */
  heartbeatMs?: number;
  pongTimeoutMs: number;
}

const USUAL_HEARTBEAT_MS = 30_000;
const encoder = new TextEncoder();

const byteLength = (message: string | Uint8Array) => (typeof message === 'string' ? encoder.encode(message) : message).length;

/** What an `error` frame says. */
export function errorOf({ payload = {} }: Frame): WeftError {
  return new WeftError(
    Number(payload.code),
    String(payload.reason),
    payload.message as string | undefined,
    payload.retry_after_ms as number | undefined,
  );
}

/** One connection from its opening to its end. It watches over its silence, since a browser doesn't see the server's pings. */
export class Session {
  readonly #options: SessionOptions;
  readonly #listener: SessionListener;
  readonly #connection: TransportConnection;
  #messageSize = Infinity;
  #ended = false;
  #lastError: WeftError | undefined;
  #lastHeard = 0;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #cancelTimeout: (() => void) | undefined; // of opening, later of a pong

  /** Throws what the transport throws. */
  constructor(options: SessionOptions, listener: SessionListener) {
    const { transport, codec, url, ticket, ticketIn } = options;
    this.#options = options;
    this.#listener = listener;
    const protocols = [codec.subprotocol];
    if (ticket !== null && ticketIn === 'subprotocol') protocols.push(`bearer.${ticket}`);
    this.#connection = transport.open(url, protocols, {
      opened: () => {
        if (!this.#ended && ticket !== null && ticketIn === 'message') this.send({ type: 'auth', payload: { token: ticket } });
      },
      message: (message) => this.#receive(message),
      closed: (code, reason) => this.#end(code, reason),
    }, ticket);
    this.#cancelTimeout = deadline(options.connectTimeoutMs, () => this.#giveUp(SLOW));
  }

  /** Sends it, unless it is longer than the server takes, which would end the connection: then false. */
  send(frame: Frame): boolean {
    const message = this.#options.codec.encode(frame);
    if (byteLength(message) > this.#messageSize) return false;
    this.#connection.send(message);
    return true;
  }

  get transport(): TransportName {
    return this.#options.name;
  }

  /** Bytes that were sent and have not left yet. */
  get buffered(): number {
    return this.#connection.buffered;
  }

  /** Asks for a sign of life; without one in time the connection is given up. */
  probe(): void {
    if (this.#ended || this.#cancelTimeout) return;
    this.#cancelTimeout = deadline(this.#options.pongTimeoutMs, () => this.#giveUp('no pong'));
    this.send({ type: 'ping' });
  }

  /** Closes without telling the listener. */
  close(): void {
    if (this.#ended) return;
    this.#stop();
    this.#connection.close(1000);
  }

  #receive(message: string | ArrayBuffer): void {
    if (this.#ended) return;
    let frame: Frame;
    try {
      frame = this.#options.codec.decode(message);
    } catch (error) {
      this.#lastError = localError('invalid_frame', 'not a frame', error);
      return this.#giveUp('invalid frame');
    }
    this.#lastHeard = Date.now();
    if (frame.type === 'connection_established') return this.#establish(fromWire<Connected>(frame.payload ?? {}));
    if (this.#silence !== undefined) this.#clearTimeout();
    if (frame.type === 'error' && frame.id === undefined) this.#lastError = errorOf(frame);
    if (frame.type !== 'pong') this.#listener.frame(this, frame);
  }

  #establish(info: Connected): void {
    this.#clearTimeout();
    this.#messageSize = info.limits?.messageSize || Infinity;
    this.#watch(this.#options.heartbeatMs ?? (info.heartbeatMs || USUAL_HEARTBEAT_MS));
    this.#listener.established(this, { ...info, transport: this.transport });
  }

  #watch(heartbeatMs: number, afterMs = heartbeatMs): void {
    this.#silence = setTimeout(() => {
      const left = Math.min(heartbeatMs, this.#lastHeard + heartbeatMs - Date.now());
      if (left <= 0) this.probe();
      this.#watch(heartbeatMs, left > 0 ? left : heartbeatMs);
    }, afterMs);
  }

  // close() would wait for a peer that is gone; so let go first.
  #giveUp(reason: string): void {
    this.#end(1006, reason);
    this.#connection.close();
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return;
    this.#stop();
    const error = this.#lastError;
    const end: SessionEnd = { code, reason: reason || error?.reason || '' };
    if (error && (error.code === code || error.code === 0)) end.error = error;
    this.#listener.ended(this, end);
  }

  #stop(): void {
    this.#ended = true;
    clearTimeout(this.#silence);
    this.#clearTimeout();
  }

  #clearTimeout(): void {
    this.#cancelTimeout?.();
    this.#cancelTimeout = undefined;
  }
}
