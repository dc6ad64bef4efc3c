import { Backoff, type BackoffOptions } from './backoff.js';
import { Channel, type ChannelHost, type ChannelOptions, type PageOptions, type PublishOptions } from './channel.js';
import { jsonCodec, type Codec, type Frame } from './codec.js';
import { deadline } from './deadline.js';
import { Emitter } from './emitter.js';
import { Code, localError, UnauthorizedError, WeftError } from './errors.js';
import { messageId } from './message_id.js';
import { Outbox, RETRY_REFUSED, RETRY_UNAVAILABLE, type CallOptions, type CommandManners } from './outbox.js';
import { fromWire, type Connected, type HistoryPage, type PresencePage, type Published } from './payloads.js';
import { errorOf, Session, type SessionEnd, type SessionListener } from './session.js';
import { webSocketTransport, type Transport, type WebSocketConstructor } from './transport.js';
import { onWake } from './wake.js';

export type ClientState = 'disconnected' | 'connecting' | 'connected';

/** What `getTicket` is told. */
export interface TicketRequest {
  /** `refresh`: the ticket that is in use ends soon. */
  reason: 'connect' | 'refresh';
  /** Aborted when the ticket is not wanted any more; give it to fetch(). */
  signal: AbortSignal;
}

export interface ClientOptions {
  /**
   * Asked for a ticket before each connection, and before the one in use ends. null for none (a cookie, a certificate, an
   * anonymous location). What it throws is retried, except an {@link UnauthorizedError}. Left out: no ticket.
   */
  getTicket?: (request: TicketRequest) => string | null | Promise<string | null>;
  /** How the ticket is shown: offered as a subprotocol (default), or as the first message where the server waits for one. */
  ticketIn?: 'subprotocol' | 'message';
  /** The constructor to use where there is no global WebSocket (Node 20): that of the package `ws`. */
  WebSocket?: WebSocketConstructor;
  /** How long to wait between attempts. */
  backoff?: BackoffOptions;
  /** For a ticket, and for a connection from its opening to `connection_established`. Default 10000. */
  connectTimeoutMs?: number;
  /** For rpc, history, presence, refresh. Default 10000. */
  requestTimeoutMs?: number;
  /** For publications, waiting for a connection included. Default 30000. */
  publishTimeoutMs?: number;
  /** Silence after which the server is pinged. Default: its own `heartbeat_ms`. */
  heartbeatMs?: number;
  /** How long a pong may take. Default 10000. */
  pongTimeoutMs?: number;
  /** How many commands may wait to be sent or answered. Default 1000. */
  maxQueue?: number;
  /** Another way to the server than WebSocket. */
  transport?: Transport;
  /** Another encoding than JSON. */
  codec?: Codec;
}

export interface ClientEvents {
  state: { previous: ClientState; current: ClientState };
  /** An attempt will be made in `delayMs`; `code` and `reason` say why the last connection or attempt ended. */
  connecting: { code: number; reason: string; delayMs: number; attempt: number };
  /** Also when a node that goes is left for another, and the state was `connected` all the time. */
  connected: Connected;
  /** No attempt will be made until connect() is called. `code` 0: disconnect() was called. */
  disconnected: { code: number; reason: string; error?: WeftError };
  /** The server asks to go elsewhere after so long; the client does. */
  reconnect: { afterMs: number; reason: string };
  /** What no promise tells: an error frame that answers nothing of ours, or a ticket that could not be had. */
  error: WeftError;
}

/** Codes after which no attempt is made until connect() is called, which asks for a new ticket. */
const FINAL: readonly number[] = [Code.originNotAllowed, Code.banned, Code.revoked];
/** Codes after which another ticket may do. */
const REFUSED: readonly number[] = [Code.authenticationRequired, Code.authenticationFailed];
const REFUSALS = 3; // in a row, of different tickets
const STABLE_MS = 5_000; // a connection that lasted so long was a success: waits begin anew
const WAKE_MS = 1_000;
const LINGER_MS = 2_000; // for what is still on its way by a connection that goes

const DEFAULTS = {
  ticketIn: 'subprotocol' as const,
  connectTimeoutMs: 10_000,
  requestTimeoutMs: 10_000,
  publishTimeoutMs: 30_000,
  pongTimeoutMs: 10_000,
  maxQueue: 1_000,
};

/**
 * A client of Weft: keeps one connection to a server, comes back by itself when it is lost, and has channels.
 *
 * ```ts
 * const client = new WeftClient('wss://example.com/ws', { getTicket });
 * client.channel('chat:lobby').subscribe(({ data }) => console.log(data));
 * client.connect();
 * ```
 */
export class WeftClient extends Emitter<ClientEvents> {
  readonly #options: ClientOptions & typeof DEFAULTS;
  readonly #urls: readonly string[];
  readonly #transport: Transport;
  readonly #codec: Codec;
  readonly #backoff: Backoff;
  readonly #outbox: Outbox;
  readonly #channels = new Map<string, Channel<any>>();
  readonly #host: ChannelHost;
  readonly #listener: SessionListener;

  #state: ClientState = 'disconnected';
  #info: Connected | undefined;
  #live: Session | undefined; // established
  #old: Session | undefined; // the one before, until the new one has taken over
  #attempt: Session | undefined; // not established yet
  #timer: ReturnType<typeof setTimeout> | undefined; // until the next attempt
  #linger: ReturnType<typeof setTimeout> | undefined;
  #notBefore = 0; // what the server asked for
  #turn = 0; // of the last attempt: a ticket that comes for another is of no use
  #abort: AbortController | undefined; // of a ticket that is on its way
  #urlIndex = 0;
  #since = 0;
  #ticket: string | null = null; // that the attempt was made with
  #refused: WeftError | undefined;
  #refusals = 0;
  #ready: { promise: Promise<Connected>; resolve(info: Connected): void; reject(error: unknown): void } | undefined;
  #sleepless: (() => void) | undefined;

  /**
   * `url`: ws:, wss:, http:, https:, or relative to the page. Of several the next is taken when one fails.
   */
  constructor(url: string | readonly string[], options: ClientOptions = {}) {
    super();
    this.#urls = typeof url === 'string' ? [url] : url;
    if (this.#urls.length === 0) throw new TypeError('no url');
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    this.#options = { ...DEFAULTS, ...given };
    this.#transport = options.transport ?? webSocketTransport(options.WebSocket);
    this.#codec = options.codec ?? jsonCodec();
    this.#backoff = new Backoff(options.backoff);
    this.#outbox = new Outbox(
      this.#options.maxQueue,
      // What one publishes should come back by the subscription that is on its way.
      (channel) => this.#channels.get(channel)?.asking ?? false,
      () => this.#live?.probe(),
    );
    const client = this;
    this.#host = {
      get session() {
        return client.#live;
      },
      backoff: options.backoff ?? {},
      requestTimeoutMs: this.#options.requestTimeoutMs,
      put: this.#outbox.put.bind(this.#outbox),
      publish: this.publish.bind(this),
      signal: this.signal.bind(this),
      history: this.history.bind(this),
      presence: this.presence.bind(this),
      settled: () => {
        this.#outbox.flush();
        this.#letGo();
      },
    };
    this.#listener = {
      established: (session, info) => this.#established(session, info),
      frame: (session, frame) => this.#receive(session, frame),
      ended: (session, end) => this.#ended(session, end),
    };
  }

  get state(): ClientState {
    return this.#state;
  }

  /** What the server said of the connection; undefined while there is none. */
  get connection(): Connected | undefined {
    return this.#info;
  }

  /**
   * Connects, and stays connected until disconnect(). Resolves when the first connection is established; rejects when the
   * server doesn't let us in, or disconnect() is called before.
   */
  connect(): Promise<Connected> {
    if (this.#state === 'disconnected') {
      let resolve!: (info: Connected) => void, reject!: (error: unknown) => void;
      const promise = new Promise<Connected>((yes, no) => ([resolve, reject] = [yes, no]));
      promise.catch(() => {}); // who doesn't wait for it listens to `disconnected`
      this.#ready = { promise, resolve, reject };
      this.#sleepless = onWake(() => this.#wake());
      this.#backoff.reset();
      this.#refused = undefined;
      this.#refusals = 0;
      this.#setState('connecting');
      void this.#open();
    }
    return this.#ready!.promise;
  }

  /** Closes the connection. What waits fails with `disconnected`; subscriptions resume when connect() is called. */
  disconnect(): void {
    this.#stop(Code.local, 'disconnected');
  }

  /** The channel of this name; made the first time, then `options` count. */
  channel<T = unknown>(name: string, options?: ChannelOptions): Channel<T> {
    let channel = this.#channels.get(name);
    if (!channel) this.#channels.set(name, (channel = new Channel<T>(this.#host, name, options)));
    return channel as Channel<T>;
  }

  /** Unsubscribes and forgets a channel. */
  async remove(name: string): Promise<void> {
    const channel = this.#channels.get(name);
    this.#channels.delete(name);
    await channel?.unsubscribe();
  }

  /**
   * Publishes, now or as soon as there is a connection, and again with the same message id as long as it isn't known
   * whether it arrived, so that it is delivered once. Resolves when the server has accepted it; rejects with a
   * {@link WeftError} when it refuses, and with reason `timeout` when nothing is known until then.
   */
  async publish(channel: string, data: unknown, options: PublishOptions = {}): Promise<Published> {
    const payload = { channel, data: data ?? null, message_id: options.messageId ?? messageId() };
    const manners = { channel, repeat: true, retry: RETRY_UNAVAILABLE };
    return fromWire(await this.#ask('publish', payload, options, manners, this.#options.publishTimeoutMs));
  }

  /** Tells the subscribers what is true only now. Sent if there is a connection, and never repeated: false if there is none. */
  signal(channel: string, name: string, data: unknown = null): boolean {
    this.#live?.send({ type: 'signal', payload: { channel, name, data: data ?? null } });
    return this.#live !== undefined;
  }

  /** Calls a method. It is sent once: when the connection ends before the answer, it rejects with `connection_lost`. */
  async rpc<T = unknown>(method: string, params: unknown = null, options: CallOptions = {}): Promise<T> {
    return (await this.#ask('rpc', { method, params: params ?? null }, options, { retry: RETRY_REFUSED })).result;
  }

  /** A page of what a channel has kept, from the oldest or from behind the position `after`. */
  async history<T = unknown>(channel: string, { after, limit, ...options }: PageOptions = {}): Promise<HistoryPage<T>> {
    const page = fromWire<HistoryPage<T>>(await this.#read('history', { channel, after, limit }, options));
    page.events = page.events.map((event) => ({ ...fromWire<HistoryPage<T>['events'][number]>(event), channel }));
    return page;
  }

  /** A page of who is in a channel. */
  async presence(channel: string, { after, limit, ...options }: PageOptions = {}): Promise<PresencePage> {
    const page = fromWire<PresencePage>(await this.#read('presence', { channel, after, limit }, options));
    page.complete ??= true;
    page.members = page.members?.map((member) => fromWire(member));
    return page;
  }

  /** Gets a new ticket and shows it: done by itself before the ticket ends, of use when a user's grants have changed. */
  async refresh(): Promise<{ expiresAt: string }> {
    const session = this.#live;
    if (!session) throw localError('disconnected');
    const token = await this.#fetchTicket('refresh', new AbortController());
    return fromWire(await this.#ask('refresh', { token }, {}, { urgent: true }));
  }

  #ask(type: string, payload: Record<string, unknown>, { timeoutMs, signal }: CallOptions, manners: CommandManners, usual = this.#options.requestTimeoutMs) {
    return this.#outbox.ask(type, payload, { ...manners, signal, timeoutMs: timeoutMs ?? usual });
  }

  #read(type: string, payload: Record<string, unknown>, options: CallOptions) {
    return this.#ask(type, payload, options, { repeat: true, retry: RETRY_UNAVAILABLE });
  }

  // --- connections ---------------------------------------------------------------------------------------------------

  async #open(): Promise<void> {
    const turn = ++this.#turn;
    this.#timer = undefined;
    this.#notBefore = 0;
    const abort = (this.#abort = new AbortController());
    let ticket: string | null;
    try {
      ticket = await this.#fetchTicket('connect', abort);
    } catch (cause) {
      if (turn !== this.#turn) return;
      this.#abort = undefined;
      const error = localError('ticket', `no ticket: ${cause instanceof Error ? cause.message : cause}`, cause);
      if (cause instanceof UnauthorizedError) return this.#stop(Code.authenticationRequired, cause.message, error);
      this.emit('error', error);
      if (turn === this.#turn) this.#schedule(Code.local, 'ticket', this.#backoff.next());
      return;
    }
    if (turn !== this.#turn) return;
    this.#abort = undefined;
    // The same ticket would be refused again.
    if (this.#refused && ticket === this.#ticket) return this.#stop(this.#refused.code, this.#refused.reason, this.#refused);
    this.#ticket = ticket;
    const { ticketIn, connectTimeoutMs, heartbeatMs, pongTimeoutMs } = this.#options;
    const [transport, codec] = [this.#transport, this.#codec];
    try {
      const url = absolute(this.#urls[this.#urlIndex % this.#urls.length]!);
      const options = { transport, codec, url, ticket, ticketIn, connectTimeoutMs, heartbeatMs, pongTimeoutMs };
      this.#attempt = new Session(options, this.#listener);
    } catch (cause) {
      // A malformed address, or no WebSocket: it won't get better.
      const message = cause instanceof Error ? cause.message : String(cause);
      this.#stop(Code.local, message, localError('disconnected', message, cause));
    }
  }

  async #fetchTicket(reason: TicketRequest['reason'], abort: AbortController): Promise<string | null> {
    const { getTicket, connectTimeoutMs } = this.#options;
    if (!getTicket) return null;
    let release = () => {};
    const ended = new Promise<never>((_, reject) => {
      abort.signal.addEventListener('abort', () => reject(localError('disconnected')));
      release = deadline(connectTimeoutMs, () => {
        reject(localError('timeout', 'getTicket took too long'));
        abort.abort();
      });
    });
    try {
      return await Promise.race([getTicket({ reason, signal: abort.signal }), ended]);
    } finally {
      release();
    }
  }

  #schedule(code: number, reason: string, delayMs: number): void {
    this.#timer = setTimeout(() => void this.#open(), delayMs);
    // While a connection is there nobody need know.
    if (!this.#live) this.emit('connecting', { code, reason, delayMs, attempt: this.#backoff.attempt });
  }

  get #trying(): boolean {
    return this.#timer !== undefined || this.#abort !== undefined || this.#attempt !== undefined;
  }

  #established(session: Session, info: Connected): void {
    this.#attempt = undefined;
    this.#refused = undefined;
    this.#refusals = 0;
    this.#notBefore = 0;
    if (this.#old) this.#drop(this.#old);
    const old = (this.#old = this.#live);
    clearTimeout(this.#linger);
    if (old) this.#linger = setTimeout(() => old === this.#old && this.#letGo(true), LINGER_MS);
    this.#live = session;
    this.#since = Date.now();
    this.#info = info;
    this.#outbox.start(session, info.limits, () => {
      for (const channel of this.#channels.values()) channel.resume(session);
    });
    this.#setState('connected');
    if (this.#live === session) this.emit('connected', info);
    this.#ready?.resolve(info);
    this.#letGo();
  }

  // The connection before is closed when the new one has all that it had; where there is no history, a little later.
  #letGo(lingered = false): void {
    const old = this.#old;
    if (!old || this.#outbox.owes(old)) return;
    const channels = [...this.#channels.values()];
    if (channels.every((channel) => channel.complete || (lingered && !channel.asking))) this.#drop(old);
  }

  #drop(session: Session): void {
    if (this.#old === session) this.#old = undefined;
    session.close();
    this.#outbox.lost(session);
  }

  #ended(session: Session, end: SessionEnd): void {
    if (session === this.#old) return this.#drop(session);
    const wasLive = session === this.#live;
    if (wasLive) {
      if (Date.now() - this.#since >= STABLE_MS) this.#backoff.reset();
      this.#live = undefined;
      this.#info = undefined;
      this.#setState('connecting');
      if (this.#old) this.#drop(this.#old);
      for (const channel of this.#channels.values()) channel.lost();
      this.#outbox.lost(session);
      if (this.#state === 'disconnected') return; // by a listener
    } else {
      this.#attempt = undefined;
    }
    const { code, reason } = end;
    const error = end.error ?? (code >= 4000 ? new WeftError(code, reason) : undefined);
    if (FINAL.includes(code)) return this.#stop(code, reason, error);
    if (REFUSED.includes(code)) {
      this.#refused = error;
      if (!this.#options.getTicket || ++this.#refusals >= REFUSALS) return this.#stop(code, reason, error);
    }
    if (this.#trying) {
      const delayMs = Math.max(0, this.#notBefore - Date.now());
      return this.emit('connecting', { code, reason, delayMs, attempt: this.#backoff.attempt });
    }
    this.#urlIndex += 1;
    const atLeastMs = error?.retryAfterMs ?? 0;
    this.#notBefore = Date.now() + atLeastMs;
    this.#schedule(code, reason, atLeastMs + this.#backoff.next());
  }

  #stop(code: number, reason: string, error?: WeftError): void {
    if (this.#state === 'disconnected') return;
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#abort?.abort();
    this.#abort = undefined;
    clearTimeout(this.#linger);
    this.#sleepless?.();
    for (const session of [this.#attempt, this.#old, this.#live]) session?.close();
    this.#attempt = this.#old = this.#live = this.#info = undefined;
    const why = error ?? localError('disconnected');
    this.#setState('disconnected');
    for (const channel of this.#channels.values()) channel.lost(why);
    this.#outbox.stop(why);
    this.#ready?.reject(why);
    this.emit('disconnected', error ? { code, reason, error } : { code, reason });
  }

  // The machine woke up, the network came back, or the page is looked at again.
  #wake(): void {
    if (this.#timer !== undefined && !this.#live) {
      // Not at once: other tabs, and other people in the same train, wake up as well.
      const soon = Math.max(0, this.#notBefore - Date.now()) + Math.random() * WAKE_MS;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#open(), soon);
    }
    this.#live?.probe();
  }

  #setState(current: ClientState): void {
    const previous = this.#state;
    if (previous === current) return;
    this.#state = current;
    this.emit('state', { previous, current });
  }

  // --- frames --------------------------------------------------------------------------------------------------------

  #receive(session: Session, frame: Frame): void {
    const { type, payload = {} } = frame;
    if (frame.id !== undefined && this.#outbox.take(session, frame)) return this.#letGo();
    if (type === 'error') {
      if (session === this.#attempt) return; // it ends, and tells why
      const error = errorOf(frame);
      if (error.code === Code.tokenExpired && this.#options.getTicket && session === this.#live) {
        this.refresh().catch((failure) => this.emit('error', failure instanceof WeftError ? failure : localError('ticket', undefined, failure)));
      } else {
        this.emit('error', error);
      }
    } else if (type === 'reconnect') {
      if (session !== this.#live || this.#trying) return;
      const afterMs = Number(payload.after_ms) || 0;
      this.#urlIndex += 1;
      this.#notBefore = Date.now() + afterMs;
      this.#schedule(1012, String(payload.reason), afterMs);
      this.emit('reconnect', { afterMs, reason: String(payload.reason) });
    } else if (typeof payload.channel === 'string') {
      this.#channels.get(payload.channel)?.receive(session, type, payload);
    }
  }
}

/** What WebSocket takes, also where it doesn't take http: or relative addresses yet. */
function absolute(url: string): string {
  const made = new URL(url, (globalThis as { location?: Location }).location?.href);
  made.protocol = made.protocol.replace(/^http/, 'ws');
  return made.href;
}
