import { Channel, type ChannelHost } from './channel.js';
import type { Frame } from './codec.js';
import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { Code, localError, WeftError } from './errors.js';
import { messageId } from './message_id.js';
import type { CallOptions, ChannelOptions, ClientEvents, ClientOptions, ClientState, PageOptions, PublishOptions } from './options.js';
import { Outbox, RETRY_REFUSED, RETRY_UNAVAILABLE, type CommandManners } from './outbox.js';
import { fromWire, type Connected, type HistoryPage, type PresencePage, type Published } from './payloads.js';
import { errorOf, type Session } from './session.js';

const SIGNAL_BACKLOG = 65_536; // bytes that wait for a slow network, so that a signal would be late

const DEFAULTS = {
  ticketIn: 'subprotocol' as const,
  connectTimeoutMs: 10_000,
  requestTimeoutMs: 10_000,
  publishTimeoutMs: 30_000,
  pongTimeoutMs: 10_000,
  upgradeAfterMs: 120_000,
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
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #channels = new Map<string, Channel<any>>();
  readonly #host: ChannelHost;
  #ready: { promise: Promise<Connected>; resolve(info: Connected): void; reject(error: unknown): void } | undefined;

  /**
   * `url`: ws:, wss:, http:, https:, or relative to the page. Of several the next is taken when one fails.
   */
  constructor(url: string | readonly string[], options: ClientOptions = {}) {
    super();
    const urls = typeof url === 'string' ? [url] : url;
    if (urls.length === 0) throw new TypeError('no url');
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    this.#options = { ...DEFAULTS, ...given };
    const connection = (this.#connection = new Connection(urls, this.#options, {
      state: (previous, current) => this.emit('state', { previous, current }),
      scheduled: (event) => this.emit('connecting', event),
      established: (session, info) => this.#established(session, info),
      frame: (session, frame) => this.#receive(session, frame),
      gone: (session) => this.#gone(session),
      mayLetGo: (old, lingered) => this.#mayLetGo(old, lingered),
      ticketFailed: (error) => this.emit('error', error),
      stopped: (event, why) => this.#stopped(event, why),
      wanted: () => [...this.#channels.values()].flatMap((channel) => channel.wanted ?? []),
    }));
    this.#outbox = new Outbox(
      this.#options.maxQueue,
      // What one publishes should come back by the subscription that is on its way.
      (channel) => this.#channels.get(channel)?.asking ?? false,
      () => connection.live?.probe(),
    );
    this.#host = {
      get session() {
        return connection.live;
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
        connection.letGo();
      },
    };
  }

  get state(): ClientState {
    return this.#connection.state;
  }

  /** What the server said of the connection; undefined while there is none. */
  get connection(): Connected | undefined {
    return this.#connection.info;
  }

  /**
   * Connects, and stays connected until disconnect(). Resolves when the first connection is established; rejects when the
   * server doesn't let us in, or disconnect() is called before.
   */
  connect(): Promise<Connected> {
    if (this.state === 'disconnected') {
      let resolve!: (info: Connected) => void, reject!: (error: unknown) => void;
      const promise = new Promise<Connected>((yes, no) => ([resolve, reject] = [yes, no]));
      promise.catch(() => {}); // who doesn't wait for it listens to `disconnected`
      this.#ready = { promise, resolve, reject };
      this.#connection.start();
    }
    return this.#ready!.promise;
  }

  /** Closes the connection. What waits fails with `disconnected`; subscriptions resume when connect() is called. */
  disconnect(): void {
    this.#connection.stop(Code.local, 'disconnected');
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

  /**
   * Tells the subscribers what is true only now. Sent at once or not at all, then false: when there is no connection, when
   * what was sent before has not left yet, when the server's rate doesn't allow it, and by another transport than WebSocket.
   */
  signal(channel: string, name: string, data: unknown = null): boolean {
    const { live } = this.#connection;
    if (live?.transport !== 'websocket' || live.buffered > SIGNAL_BACKLOG || !this.#outbox.mayPass()) return false;
    return live.send({ type: 'signal', payload: { channel, name, data: data ?? null } });
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
  async refresh(): Promise<{ expiresAt?: string }> {
    const token = await this.#connection.fetchTicket('refresh');
    if (token === null) throw localError('ticket', 'no ticket');
    return fromWire(await this.#ask('refresh', { token }, {}, { urgent: true }));
  }

  #ask(type: string, payload: Record<string, unknown>, { timeoutMs, signal }: CallOptions, manners: CommandManners, usual = this.#options.requestTimeoutMs) {
    return this.#outbox.ask(type, payload, { ...manners, signal, timeoutMs: timeoutMs ?? usual });
  }

  #read(type: string, payload: Record<string, unknown>, options: CallOptions) {
    return this.#ask(type, payload, options, { repeat: true, retry: RETRY_UNAVAILABLE });
  }

  #established(session: Session, info: Connected): void {
    this.#outbox.start(session, info.limits, () => {
      for (const channel of this.#channels.values()) channel.resume(session);
    });
    this.emit('connected', info);
    this.#ready?.resolve(info);
  }

  #gone(session: Session): void {
    if (!this.#connection.live) for (const channel of this.#channels.values()) channel.lost();
    this.#outbox.lost(session);
  }

  #mayLetGo(old: Session, lingered: boolean): boolean {
    if (this.#outbox.owes(old)) return false;
    // Where there is no history, the old one may still tell what the new one doesn't: only time ends that.
    return [...this.#channels.values()].every((channel) => channel.complete || (lingered && !channel.asking));
  }

  #stopped(event: ClientEvents['disconnected'], why: WeftError): void {
    for (const channel of this.#channels.values()) channel.lost(why);
    this.#outbox.stop(why);
    this.#ready?.reject(why);
    this.emit('disconnected', event);
  }

  #receive(session: Session, frame: Frame): void {
    const { type, payload = {} } = frame;
    const live = session === this.#connection.live;
    if (frame.id !== undefined && this.#outbox.take(session, frame)) {
      this.#connection.letGo();
    } else if (type === 'error') {
      const error = errorOf(frame);
      if (error.code === Code.tokenExpired && this.#options.getTicket && live) void this.#refreshInTime();
      else this.emit('error', error);
    } else if (type === 'reconnect') {
      const event = { afterMs: Number(payload.after_ms) || 0, reason: String(payload.reason) };
      if (live && this.#connection.leave(event.afterMs, event.reason)) this.emit('reconnect', event);
    } else if (typeof payload.channel === 'string') {
      this.#channels.get(payload.channel)?.receive(session, type, payload);
    }
  }

  // If it fails, the server ends the connection, and the next one has a new ticket.
  async #refreshInTime(): Promise<void> {
    try {
      await this.refresh();
    } catch (cause) {
      this.emit('error', cause instanceof WeftError ? cause : localError('ticket', 'no ticket', cause));
    }
  }
}
