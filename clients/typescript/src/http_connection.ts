import type { Frame } from './codec.js';
import { deadline } from './deadline.js';
import { Code, type LocalReason } from './errors.js';
import { initOf, refusalOf, UNSAID, withChannels, type Refusal } from './http.js';
import type { HttpOptions, Listening, Subscription, Wanted } from './listening.js';
import { Posts } from './posts.js';
import { RecentKeys } from './recent.js';
import { readEvents } from './sse.js';
import { SILENT, SLOW, type TransportConnection, type TransportListener } from './transport.js';

/** Refusals that are about a channel, not about us. */
const ABOUT_A_CHANNEL: readonly number[] = [
  Code.invalidMessage,
  Code.channelNotFound,
  Code.channelFull,
  Code.permissionDenied,
  Code.tooManySubscriptions,
];

const EVENTS = 'text/event-stream';
const NO_HEADER = /[^!-~]|,/;
const SOON_MS = 5; // to listen to what was subscribed to together by one request
const OVERLAP_MS = 1_000; // for what the stream before still has on its way
const REMEMBERED = 1_000;
const HELD_MS = 250; // a poll that isn't answered in so long is held: nobody is refused, and nothing is new
const PAUSE_MS = 1_000; // behind an answer that tells only of members: other polls come and go, too, and would call each other up
const HEARTBEAT_MS = 60_000; // where the server doesn't tell one: longer than a poll is held
const SLACK = 1.25; // the server's sign of life is on its way when ours would be asked for

/**
 * Listens by HTTP requests, and looks like a connection: takes frames and gives frames. A stream's channels can't be
 * changed, so for others there is another request, which resumes where the one before stands; that one goes on until the
 * new one has taken over.
 */
export class HttpConnection implements TransportConnection {
  readonly buffered = 0;
  readonly #options: HttpOptions;
  readonly #listener: TransportListener;
  readonly #posts: Posts | undefined;
  readonly #subscriptions = new Map<string, Subscription>();
  #ticket: string | null;
  #current: Listening | undefined;
  #next: Listening | undefined; // takes over from it
  #timer: ReturnType<typeof setTimeout> | undefined;
  #release = () => {};
  #established = false;
  #ended = false;
  #pinged = false;
  #anew = false; // another request though the channels are the same
  #oneByOne = false; // a channel is refused, and it isn't known which
  #refreshId: string | undefined;
  #heard = Date.now();
  #heartbeatMs = HEARTBEAT_MS;
  #silences = 0;

  constructor(options: HttpOptions, listener: TransportListener, ticket: string | null) {
    this.#options = options;
    this.#listener = listener;
    this.#ticket = ticket;
    const { publish: url, fetch, json, timeoutMs } = options;
    this.#posts = url === undefined ? undefined : new Posts({
      url,
      fetch,
      json,
      timeoutMs,
      ticket: () => this.#ticket,
      // As the server tells of a ticket that ends: the client shows another one.
      refused: ({ message }) => this.#tell({ type: 'error', payload: { code: Code.tokenExpired, reason: 'token_expired', message } }),
      answer: (frame) => this.#tell(frame),
    });
    // A poll would be held while there is nothing new, so the first request is another.
    if (!options.poll) for (const one of options.wanted()) this.#want(one, undefined);
    void this.#listen();
  }

  send(message: unknown): void {
    const frame = message as Frame;
    const { type, id, payload = {} } = frame;
    const channel = payload.channel as string;
    // Answers come later, as from a server.
    const answer = (type: string, payload: Frame['payload']) => queueMicrotask(() => this.#tell({ type, id, payload }));
    switch (type) {
      case 'ping': {
        // Asked for a second time where heartbeats should come by themselves; the first may be a machine that slept.
        const silent = !this.#options.poll && this.#current?.channels.size && Date.now() - this.#heard > this.#heartbeatMs;
        if (silent && ++this.#silences > 1) return this.#end(1006, SILENT);
        this.#pinged = this.#anew = true;
        return this.#see();
      }
      case 'subscribe': {
        const known = this.#subscriptions.get(channel);
        if (known && !known.told && known.id === undefined) known.id = id;
        else this.#want(payload as unknown as Wanted, id);
        return this.#see();
      }
      case 'unsubscribe':
        this.#subscriptions.delete(channel);
        answer('unsubscribed', { channel });
        return this.#see();
      case 'refresh':
        this.#ticket = payload.token as string;
        if (this.#options.poll || this.#subscriptions.size === 0) return answer('refreshed', {});
        this.#refreshId = id;
        this.#anew = true;
        return this.#see();
      case 'publish':
        if (!this.#posts) break;
        this.#options.own.add(String(payload.message_id));
        return this.#posts.put(frame);
    }
    const needs = type === 'publish' ? 'fallback.publish or a WebSocket' : 'a WebSocket';
    const why = `${type} needs ${needs}; the transport in use is ${this.#options.poll ? 'poll' : 'sse'}`;
    answer('error', { code: Code.local, reason: 'unsupported' satisfies LocalReason, message: why });
  }

  close(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#release();
    this.#posts?.end();
    this.#current?.abort.abort();
    this.#next?.abort.abort();
  }

  #want(wanted: Wanted, id: string | undefined): void {
    const seen = new RecentKeys(REMEMBERED, Infinity);
    this.#subscriptions.set(wanted.channel, { ...wanted, id, told: false, by: undefined, seen });
  }

  #tell(frame: Frame): void {
    if (!this.#ended) this.#listener.message(frame as never);
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return;
    this.close();
    this.#listener.closed(code, reason);
  }

  /** Sees to it that soon is listened to what is wanted. */
  #see(): void {
    if (this.#ended || !this.#established || this.#timer !== undefined || this.#complete()) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#complete()) return;
      if (this.#options.poll) this.#drop();
      if (!this.#next) void this.#listen();
    }, SOON_MS);
  }

  #complete(): boolean {
    const channels = (this.#next ?? this.#current)?.channels;
    return !this.#anew && channels?.size === this.#subscriptions.size && [...channels.values()].every((one) => this.#wants(one));
  }

  /** Whether a channel is not confirmed yet. */
  #waits(get: Listening): boolean {
    return [...get.channels.values()].some((one) => one.by !== get && this.#wants(one));
  }

  #wants(one: Subscription): boolean {
    return this.#subscriptions.get(one.channel) === one;
  }

  #drop(): void {
    this.#release();
    this.#next?.abort.abort();
    this.#next = undefined;
  }

  async #listen(): Promise<void> {
    const { poll, listen, fetch, json, timeoutMs } = this.#options;
    const asks = poll && (this.#pinged || !this.#established);
    this.#anew = false;
    let doubtful = 0;
    const subscriptions = [...this.#subscriptions.values()].filter((one) => !asks && (!this.#oneByOne || one.by || doubtful++ === 0));
    const get: Listening = (this.#next = { abort: new AbortController(), channels: new Map(subscriptions.map((one) => [one.channel, one])) });
    if (!poll) for (const one of subscriptions) if (one.by) one.seen.add(one.position!);
    const held = poll && get.channels.size > 0;
    // Of all requests only a poll may take its time.
    this.#release = held ? deadline(HELD_MS, () => this.#held(get)) : deadline(timeoutMs, () => this.#end(1006, SLOW));
    const positions = subscriptions
      .filter(({ channel, position }) => position !== undefined && !NO_HEADER.test(channel + position)) // or refused by the name
      .map(({ channel, position }) => `${channel}=${position}`);
    try {
      const headers: Record<string, string> = { Accept: poll ? 'application/json' : EVENTS };
      // Not in the address: those who ask again ask for the same, and need no other preflight.
      if (positions.length > 0) headers['Last-Event-ID'] = positions.join();
      const response = await fetch(withChannels(listen, get.channels.keys()), initOf(this.#ticket, headers, get.abort));
      this.#heard = Date.now();
      if (!response.ok) {
        const refusal = await refusalOf(response, json);
        if (get.abort.signal.aborted) return;
        if (refusal.code === UNSAID) throw new Error(refusal.reason);
        // Who asks for no channel is told so once it is known who asks.
        if (get.channels.size === 0 && refusal.code === Code.invalidMessage) return this.#greeted(get, {});
        return this.#refused(get, refusal);
      }
      if (held) {
        const { frames } = (response.status === 204 ? { frames: [] } : json.parse(await response.text())) as { frames: Frame[] };
        return await this.#answered(get, frames);
      }
      if (!response.body || !response.headers.get('Content-Type')?.startsWith(EVENTS)) throw new Error('no stream');
      await readEvents(
        response.body,
        (data) => this.#take(get, json.parse(data) as Frame),
        () => {
          this.#heard = Date.now();
          if (get === this.#current) this.#tell({ type: 'pong' });
        },
      );
      throw new Error('end of stream');
    } catch (cause) {
      if (get.abort.signal.aborted || (this.#next && this.#next !== get)) return;
      this.#end(1006, cause instanceof Error ? cause.message : String(cause));
    }
  }

  /** What a poll was held for, and the next one. */
  async #answered(get: Listening, frames: Frame[]): Promise<void> {
    for (const frame of frames) await this.#take(get, frame);
    if (get.abort.signal.aborted) return;
    this.#tell({ type: 'pong' });
    this.#takeOver(get);
    const again = () => {
      if (this.#current === get && !this.#next && !this.#ended && this.#subscriptions.size > 0) void this.#listen();
    };
    const types = frames.map(({ type }) => type).join();
    if (/join|leave/.test(types) && !/event|signal/.test(types)) setTimeout(again, PAUSE_MS);
    else again();
  }

  #greeted(get: Listening, { limits, heartbeat_ms, ...payload }: Record<string, any>): void {
    if (heartbeat_ms) this.#heartbeatMs = heartbeat_ms * SLACK;
    if (get.channels.size === 0) this.#takeOver(get);
    if (this.#established) {
      this.#pinged = false;
      this.#tell({ type: 'pong' });
    } else {
      this.#established = true;
      // What a WebSocket would be limited to is of no importance here: each request stands for itself.
      const open = { ...limits, message_size: 0, messages_per_second: 0 };
      const nobody = { client_id: '', user: '', server_time: new Date().toISOString() };
      this.#tell({ type: 'connection_established', payload: { ...nobody, ...payload, limits: open, heartbeat_ms: this.#heartbeatMs } });
      for (const { id, channel } of this.#subscriptions.values()) if (id === undefined) this.#subscriptions.delete(channel);
    }
    if (this.#refreshId !== undefined) this.#tell({ type: 'refreshed', id: this.#refreshId, payload: { expires_at: payload.expires_at } });
    this.#refreshId = undefined;
    this.#see();
  }

  #takeOver(get: Listening): void {
    this.#release();
    this.#current?.abort.abort();
    this.#current = get;
    this.#next = undefined;
    this.#oneByOne &&= [...this.#subscriptions.values()].some((one) => !one.by);
    this.#see();
  }

  async #take(get: Listening, frame: Frame): Promise<void> {
    if (get.abort.signal.aborted) return;
    const payload = (frame.payload ?? {}) as Record<string, any>;
    const one = get.channels.get(payload.channel);
    switch (frame.type) {
      case 'connection_established':
        return this.#greeted(get, payload);
      case 'error':
        if (this.#waits(get) && ABOUT_A_CHANNEL.includes(payload.code)) get.refusal = payload as Refusal;
        else this.#tell(frame);
        return;
      case 'close':
        if (get.refusal) this.#refused(get, get.refusal);
        else if (!this.#next || this.#next === get) this.#end(payload.code, payload.reason);
        return;
      case 'reconnect':
        return this.#tell(frame);
    }
    if (!one) return;
    if (frame.type === 'subscribed') return this.#subscribed(get, one, frame, payload);
    if (one.by !== get || !this.#wants(one)) return;
    if (frame.type === 'unsubscribed') this.#subscriptions.delete(one.channel);
    if (frame.type === 'event') {
      one.position = payload.position;
      if (this.#next && this.#next !== get) one.seen.add(payload.position);
      one.reached?.(payload.position);
      if (one.echo === false && this.#options.own.has(payload.message_id)) frame.type = 'echo';
    }
    this.#tell(frame);
  }

  async #subscribed(get: Listening, one: Subscription, frame: Frame, { position, recovered }: Record<string, any>): Promise<void> {
    // What was published meanwhile is not kept, but the stream before may tell it: this one waits until it has.
    const missed = one.told && !recovered && !(await this.#reached(one, position));
    if (get.abort.signal.aborted) return;
    if (this.#wants(one)) {
      const { id, told } = one;
      Object.assign(one, { by: get, position, id: undefined, told: true });
      if (!told || missed) this.#tell({ ...frame, id });
    }
    if (!this.#options.poll && !this.#waits(get)) this.#takeOver(get);
  }

  /** Who resumes where nothing is new would be answered as late as there is something. */
  #held(get: Listening): void {
    for (const one of get.channels.values()) {
      const { channel, position, id } = one;
      if (id === undefined || position === undefined) continue;
      void this.#subscribed(get, one, { type: 'subscribed', payload: { channel, position, recovered: true, replay: 0 } }, { position, recovered: true });
    }
  }

  #reached(one: Subscription, position: string): boolean | Promise<boolean> {
    if (one.seen.has(position)) return true;
    if (this.#options.poll || !this.#current) return false;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, OVERLAP_MS, false);
      one.reached = (now) => {
        if (now !== position) return;
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  #refused(get: Listening, error: Refusal): void {
    const { code, reason } = error;
    const all = [...get.channels.values()];
    const doubtful = all.filter((one) => !one.by);
    const [only, second] = doubtful.length > 0 ? doubtful : all;
    const culprit = get.channels.get(error.channel) ?? (second ? undefined : only);
    if (!ABOUT_A_CHANNEL.includes(code) || all.length === 0) {
      this.#tell({ type: 'error', payload: error });
      return this.#end(code, reason);
    }
    this.#drop();
    if (culprit) {
      const { id, channel, told } = culprit;
      if (this.#wants(culprit)) this.#subscriptions.delete(channel);
      if (id !== undefined) this.#tell({ type: 'error', id, payload: error });
      else if (told) this.#tell({ type: 'unsubscribed', payload: { channel, code, reason } });
    } else {
      this.#oneByOne = true;
      for (const one of all) one.by = undefined;
    }
    if (this.#established) return this.#see();
    // Those who subscribe will hear which one it is.
    if (!culprit) this.#subscriptions.clear();
    void this.#listen();
  }
}
