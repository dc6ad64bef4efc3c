// A transport whose other side is the test, for what a real server doesn't do at will.
import { onTestFinished, vi } from 'vitest';

import { WeftClient, type ClientOptions, type Frame, type Transport, type TransportListener } from '../src/index.js';

export class FakeConnection {
  readonly sent: Frame[] = [];
  closedWith: number | undefined;
  buffered = 0;
  #mark = 0;

  constructor(
    readonly url: string,
    readonly protocols: string[],
    readonly listener: TransportListener,
  ) {}

  say(type: string, payload: object = {}, id?: string): void {
    this.listener.message(JSON.stringify({ type, payload, ...(id === undefined ? {} : { id }) }));
  }

  /** Opens, and is established. */
  establish(more: object = {}): void {
    this.listener.opened();
    const limits = { message_size: 65_536, messages_per_second: 0, subscriptions: 256, pending_rpcs: 512 };
    this.say('connection_established', { client_id: 'c', user: 'ann', server_time: '', heartbeat_ms: 30_000, limits, node: 'a', ...more });
  }

  /** What was sent of this type since the last call of it. */
  take(type: string): (Frame & { payload: any })[] {
    const taken = this.sent.slice(this.#mark).filter((frame) => frame.type === type);
    this.#mark = this.sent.length;
    return taken as (Frame & { payload: any })[];
  }

  subscribed(frame: Frame, more: object = {}): void {
    this.say('subscribed', { channel: (frame.payload as any).channel, position: 'p0', recovered: false, replay: 0, ...more }, frame.id);
  }

  event(channel: string, data: unknown, more: object = {}): void {
    this.say('event', { channel, data, position: `p${data}`, message_id: `m${data}`, timestamp: '', ...more });
  }

  end(code: number, reason = ''): void {
    this.listener.closed(code, reason);
  }
}

/** A client on a fake transport, and the connections that it opens. Its waits are as long as they may be. */
export function fakeClient(options: ClientOptions = {}) {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.999999);
  onTestFinished(() => {
    client.disconnect();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
  const connections: FakeConnection[] = [];
  const transport: Transport = {
    open(url, protocols, listener) {
      const connection = new FakeConnection(url, protocols, listener);
      connections.push(connection);
      return {
        get buffered() {
          return connection.buffered;
        },
        send: (message) => void connection.sent.push(JSON.parse(message as string)),
        close: (code) => void (connection.closedWith = code ?? 0),
      };
    },
  };
  let tickets = 0;
  const client = new WeftClient('ws://server/ws', { transport, getTicket: () => `t${++tickets}`, ...options });
  return {
    client,
    connections,
    get last() {
      return connections.at(-1)!;
    },
    /** Connects, and resolves when the connection is established. */
    async connect(more?: object) {
      const ready = client.connect();
      await vi.advanceTimersByTimeAsync(0);
      connections.at(-1)!.establish(more);
      await ready;
      return connections.at(-1)!;
    },
    pass: (ms: number) => vi.advanceTimersByTimeAsync(ms),
  };
}
