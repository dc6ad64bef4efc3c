import { Backoff, type BackoffOptions } from './backoff.js';
import { Emitter, type Listener } from './emitter.js';
import { Code, localError, WeftError } from './errors.js';
import type { ChannelEvents, ChannelOptions, ChannelState, PageOptions, PublishOptions } from './options.js';
import type { CommandManners } from './outbox.js';
import { fromWire, type ChannelEvent, type HistoryPage, type PresencePage, type Published, type Subscribed } from './payloads.js';
import type { Wanted } from './listening.js';
import { RecentKeys } from './recent.js';
import type { Session } from './session.js';

/** @internal What a channel needs of its client. */
export interface ChannelHost {
  readonly session: Session | undefined;
  readonly backoff: BackoffOptions;
  readonly requestTimeoutMs: number;
  put(
    type: string,
    payload: Record<string, unknown>,
    manners: CommandManners,
    answered: (error: unknown, payload: Record<string, any>, session: Session | undefined) => void,
  ): void;
  publish(channel: string, data: unknown, options?: PublishOptions): Promise<Published>;
  signal(channel: string, name: string, data?: unknown): boolean;
  history<T>(channel: string, options?: PageOptions): Promise<HistoryPage<T>>;
  presence(channel: string, options?: PageOptions): Promise<PresencePage>;
  /** Commands may wait no longer for this channel's subscription. */
  settled(): void;
}

/** Codes after which the same subscription can't succeed. */
const FINAL: readonly number[] = [
  Code.messageTooLarge,
  Code.invalidMessage,
  Code.channelNotFound,
  Code.permissionDenied,
  Code.tooManySubscriptions,
];

const REMEMBERED_IDS = 1_000;
const REMEMBERED_MS = 600_000; // as long as the server knows an id, by default
const HELD_EVENTS = 1_000;

interface Deferred {
  promise: Promise<Subscribed>;
  resolve(subscribed: Subscribed): void;
  reject(error: unknown): void;
}

/** A channel of a client: `client.channel('chat:lobby')`. `T` is what `data` holds. */
export class Channel<T = unknown> extends Emitter<ChannelEvents<T>> {
  readonly name: string;
  readonly #host: ChannelHost;
  readonly #echo: boolean;
  readonly #backoff: Backoff;
  readonly #ids = new RecentKeys(REMEMBERED_IDS, REMEMBERED_MS);
  #state: ChannelState = 'unsubscribed';
  #position: string | undefined;
  #deferred: Deferred | undefined;
  #asked: Session | undefined; // where a subscribe waits for its answer
  #turn = 0; // of the last subscribe: answers to others are of no interest
  #owner: Session | undefined; // the connection that we are subscribed on
  #recovered = false; // whether what the owner sends is complete
  #held: ChannelEvent<T>[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @internal */
  constructor(host: ChannelHost, name: string, options: ChannelOptions = {}) {
    super();
    this.#host = host;
    this.name = name;
    this.#position = options.position;
    this.#echo = options.echo ?? true;
    this.#backoff = new Backoff(host.backoff);
  }

  get state(): ChannelState {
    return this.#state;
  }

  /** Of the last event that was delivered, or of the subscription; undefined before. */
  get position(): string | undefined {
    return this.#position;
  }

  /**
   * Subscribes, now or as soon as the client is connected, and again after every reconnect. Resolves with the first answer;
   * rejects with a {@link WeftError} when the server refuses. Calling it again does no harm.
   */
  subscribe(listener?: Listener<ChannelEvent<T>>): Promise<Subscribed> {
    if (listener) this.on('event', listener);
    if (!this.#deferred) {
      this.#deferred = deferred();
      // Who doesn't wait for it hears of a refusal by the events; it is no unhandled rejection.
      this.#deferred.promise.catch(() => {});
    }
    const { promise } = this.#deferred;
    if (this.#state === 'unsubscribed') {
      this.#state = 'subscribing';
      if (this.#host.session) this.#ask(this.#host.session);
    }
    return promise;
  }

  /** Ends the subscription and forgets its position. Resolves when the server has confirmed, or is gone. */
  unsubscribe(): Promise<void> {
    const session = this.#host.session;
    const ended = this.#state !== 'unsubscribed';
    this.#end(localError('unsubscribed'));
    this.#position = undefined;
    if (ended) this.emit('unsubscribed', { channel: this.name, code: Code.local, reason: 'unsubscribed' });
    if (!ended || !session) return Promise.resolve();
    return new Promise((resolve) => {
      this.#host.put('unsubscribe', { channel: this.name }, { urgent: true, timeoutMs: this.#host.requestTimeoutMs }, () => resolve());
    });
  }

  /** Publishes; see {@link WeftClient.publish}. */
  publish(data: T, options?: PublishOptions): Promise<Published> {
    return this.#host.publish(this.name, data, options);
  }

  /** Signals; see {@link WeftClient.signal}. */
  signal(name: string, data?: unknown): boolean {
    return this.#host.signal(this.name, name, data);
  }

  /** A page of what the channel has kept, from the oldest or from behind the position `after`. */
  history(options?: PageOptions): Promise<HistoryPage<T>> {
    return this.#host.history<T>(this.name, options);
  }

  /** A page of who is in the channel. */
  presence(options?: PageOptions): Promise<PresencePage> {
    return this.#host.presence(this.name, options);
  }

  /** @internal Whether a subscribe waits for its answer. */
  get asking(): boolean {
    return this.#asked !== undefined;
  }

  /** @internal Whether this connection gives all that there was since the last. */
  get complete(): boolean {
    return this.#state === 'unsubscribed' || (this.#owner === this.#host.session && this.#recovered);
  }

  /** @internal What to subscribe to, if a subscription is wanted. */
  get wanted(): Wanted | undefined {
    return this.#state === 'unsubscribed' ? undefined : this.#wanted();
  }

  /** @internal Subscribes on this connection, if a subscription is wanted. */
  resume(session: Session): void {
    if (this.#state !== 'unsubscribed') this.#ask(session);
  }

  /** @internal The connection is lost and none is in its place; with an error none will be. */
  lost(error?: WeftError): void {
    this.#forget();
    if (this.#state === 'unsubscribed') return;
    this.#state = 'subscribing';
    if (error) this.#fail(error);
  }

  /** @internal A frame about this channel that no command asked for. */
  receive(session: Session, type: string, payload: Record<string, any>): void {
    if (this.#state === 'unsubscribed' || (session !== this.#owner && session !== this.#asked)) {
      // A connection that is about to go may still tell what the new one can't.
      if (this.#state !== 'subscribed' || this.#recovered || type !== 'event') return;
    }
    switch (type) {
      case 'event': {
        const event = fromWire<ChannelEvent<T>>(payload);
        if (session === this.#asked) this.#hold(event);
        else this.#deliver(event, session);
        break;
      }
      case 'echo': // an event of ours that isn't wanted, but where we stand
        if (session === this.#owner) this.#position = payload.position;
        break;
      case 'subscribed': // another request listens now, and has missed something
        if (session === this.#owner && !this.#asked) this.#subscribed(session, { ...fromWire<Subscribed>(payload), resumed: true });
        break;
      case 'gap':
        if (session === this.#owner && !this.#asked) this.#ask(session);
        break;
      case 'unsubscribed':
        this.#end(new WeftError(payload.code, payload.reason));
        this.emit('unsubscribed', payload as ChannelEvents['unsubscribed']);
        break;
      case 'presence_gap':
        this.emit('presenceGap', { channel: this.name });
        break;
      case 'signal':
      case 'join':
      case 'leave':
        this.emit(type, fromWire(payload));
        break;
    }
  }

  #ask(session: Session): void {
    const turn = ++this.#turn;
    const position = this.#position;
    clearTimeout(this.#timer);
    this.#asked = session;
    if (session === this.#owner || !this.#owner) this.#state = 'subscribing';
    this.#host.put('subscribe', { ...this.#wanted() }, { urgent: true, timeoutMs: this.#host.requestTimeoutMs }, (error, answer) => {
      if (turn !== this.#turn) return;
      if (error instanceof WeftError) this.#refused(error);
      else this.#subscribed(session, { ...fromWire<Subscribed>(answer), resumed: position !== undefined });
    });
  }

  #wanted(): Wanted {
    const wanted: Wanted = { channel: this.name };
    if (this.#position !== undefined) wanted.position = this.#position;
    if (!this.#echo) wanted.echo = false;
    return wanted;
  }

  #subscribed(session: Session, subscribed: Subscribed): void {
    const held = this.#held;
    const { recovered, resumed, replay } = subscribed;
    this.#asked = undefined;
    this.#owner = session;
    this.#recovered = recovered;
    this.#held = [];
    this.#state = 'subscribed';
    this.#backoff.reset();
    if (resumed && !recovered) {
      this.emit('gap', { channel: this.name });
      // A channel without history doesn't send again what came after the gap; one with history does.
      if (replay === 0) held.forEach((event) => this.#deliver(event, session));
    }
    this.#position = subscribed.position;
    this.emit('subscribed', subscribed);
    this.#deferred?.resolve(subscribed);
    this.#host.settled();
  }

  #refused(error: WeftError): void {
    // What comes behind a gap would move the position over it: it comes again when the subscription is taken.
    if (this.#asked === this.#owner) this.#owner = undefined;
    this.#asked = undefined;
    this.#held = [];
    // The client calls resume() on the next connection, or lost() if there is none.
    if (error.reason === 'connection_lost' || error.reason === 'disconnected') return;
    this.emit('error', error);
    if (this.#state === 'unsubscribed') return; // by a listener
    if (FINAL.includes(error.code)) {
      this.#end(error);
      this.emit('unsubscribed', { channel: this.name, code: error.code, reason: error.reason });
    } else {
      this.#state = 'subscribing';
      this.#timer = setTimeout(
        () => this.#host.session && this.#ask(this.#host.session),
        (error.retryAfterMs ?? 0) + this.#backoff.next(),
      );
    }
    this.#host.settled();
  }

  #hold(event: ChannelEvent<T>): void {
    this.#held.push(event);
    if (this.#held.length > HELD_EVENTS) this.#held.shift();
  }

  #deliver(event: ChannelEvent<T>, session: Session): void {
    // Also for what is not told again: it is where we stand. What a connection that is about to go tells is behind that.
    if (session === this.#owner) this.#position = event.position;
    // An id belongs to its user, and to its connection where there is no user.
    const by = event.publisher;
    if (this.#ids.add(`${by ? by.user || `/${by.clientId}` : ''} ${event.messageId}`)) this.emit('event', event);
  }

  #forget(): void {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#asked = undefined;
    this.#owner = undefined;
    this.#held = [];
  }

  #end(error: WeftError): void {
    this.#forget();
    this.#state = 'unsubscribed';
    this.#fail(error);
    this.#host.settled();
  }

  #fail(error: WeftError): void {
    this.#deferred?.reject(error);
    this.#deferred = undefined;
  }
}

function deferred(): Deferred {
  const made = {} as Deferred;
  made.promise = new Promise<Subscribed>((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}
