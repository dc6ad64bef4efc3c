import { Backoff } from './backoff.js';
import type { Frame } from './codec.js';
import { deadline } from './deadline.js';
import { Code, localError, UnauthorizedError, WeftError } from './errors.js';
import type { ClientEvents, ClientOptions, ClientState, TicketRequest } from './options.js';
import type { Connected } from './payloads.js';
import type { Wanted } from './listening.js';
import { Session, type SessionEnd, type SessionListener } from './session.js';
import { SILENT, SLOW } from './transport.js';
import { onWake } from './wake.js';
import { WayChoice } from './way_choice.js';
import { waysOf, type Way, type WayOptions } from './ways.js';

/** Codes after which no attempt is made until start() is called, which asks for a new ticket. */
const FINAL: readonly number[] = [Code.originNotAllowed, Code.banned, Code.revoked];
/** Codes after which another ticket may do. */
const REFUSED: readonly number[] = [Code.authenticationRequired, Code.authenticationFailed];
const REFUSALS = 3; // in a row, of different tickets
const STABLE_MS = 5_000; // a connection that lasted so long was a success: waits begin anew
const WAKE_MS = 1_000;
const LINGER_MS = 2_000; // for what is still on its way by a connection that goes

/** What {@link Connection} tells. */
export interface ConnectionListener {
  state(previous: ClientState, current: ClientState): void;
  scheduled(event: ClientEvents['connecting']): void;
  /** `live` is a session now; the one before, if there is one, goes on until mayLetGo. */
  established(session: Session, info: Connected): void;
  frame(session: Session, frame: Frame): void;
  /** This session is no more; `live` is another, or there is none. */
  gone(session: Session): void;
  /** Whether the session before has nothing to give any more that `live` doesn't; `lingered`: it was given its time. */
  mayLetGo(old: Session, lingered: boolean): boolean;
  ticketFailed(error: WeftError): void;
  /** No attempt is made any more; `why` is what fails because of that. */
  stopped(event: ClientEvents['disconnected'], why: WeftError): void;
  /** What will be subscribed to on the next session. */
  wanted(): Wanted[];
}

type Options = WayOptions &
  Pick<ClientOptions, 'getTicket' | 'backoff' | 'heartbeatMs'> &
  Required<Pick<ClientOptions, 'ticketIn' | 'connectTimeoutMs' | 'pongTimeoutMs' | 'upgradeAfterMs'>>;

/** Keeps a session: gets tickets, connects, waits, connects again, and moves to another node when one goes. */
export class Connection {
  readonly #options: Options;
  readonly #urls: readonly string[];
  readonly #ways: readonly Way[];
  readonly #choice: WayChoice;
  readonly #backoff: Backoff;
  readonly #listener: ConnectionListener;
  readonly #sessions: SessionListener = {
    established: (session, info) => this.#established(session, info),
    frame: (session, frame) => this.#receive(session, frame),
    ended: (session, end) => this.#ended(session, end),
  };

  #state: ClientState = 'disconnected';
  #info: Connected | undefined;
  #live: Session | undefined; // established
  #old: Session | undefined; // the one before, until the new one has taken over
  #attempt: Session | undefined; // not established yet
  #way = 0; // of the attempt, then of `live`
  #timer: ReturnType<typeof setTimeout> | undefined; // until the next attempt
  #upgrade: ReturnType<typeof setTimeout> | undefined; // until the first way is tried beside another that works
  #upgrading = false;
  #linger: ReturnType<typeof setTimeout> | undefined;
  #notBefore = 0; // what the server asked for
  #turn = 0; // of the last attempt: a ticket that comes for another is of no use
  #abort: AbortController | undefined; // of a ticket that is on its way
  #urlIndex = 0;
  #since = 0;
  #ticket: string | null = null; // that the attempt was made with
  #refused: WeftError | undefined;
  #refusals = 0;
  #sleepless: (() => void) | undefined;

  constructor(urls: readonly string[], options: Options, listener: ConnectionListener) {
    this.#urls = urls;
    this.#options = options;
    this.#ways = waysOf(options, () => listener.wanted());
    this.#choice = new WayChoice(this.#ways.length, options.upgradeAfterMs);
    this.#backoff = new Backoff(options.backoff);
    this.#listener = listener;
  }

  get state(): ClientState {
    return this.#state;
  }

  get info(): Connected | undefined {
    return this.#info;
  }

  get live(): Session | undefined {
    return this.#live;
  }

  start(): void {
    this.#sleepless = onWake(() => this.#wake());
    this.#backoff.reset();
    this.#choice.start();
    this.#refused = undefined;
    this.#refusals = 0;
    this.#setState('connecting');
    void this.#open();
  }

  stop(code: number, reason: string, error?: WeftError): void {
    if (this.#state === 'disconnected') return;
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#abort?.abort();
    this.#abort = undefined;
    clearTimeout(this.#linger);
    clearTimeout(this.#upgrade);
    this.#upgrading = false;
    this.#sleepless?.();
    for (const session of [this.#attempt, this.#old, this.#live]) session?.close();
    this.#attempt = this.#old = this.#live = this.#info = undefined;
    this.#setState('disconnected');
    this.#listener.stopped(error ? { code, reason, error } : { code, reason }, error ?? localError('disconnected'));
  }

  /** The server goes: another session after so long. */
  leave(afterMs: number, reason: string): boolean {
    if (this.#trying) return false;
    this.#urlIndex += 1;
    this.#notBefore = Date.now() + afterMs;
    this.#schedule(1012, reason, afterMs);
    return true;
  }

  /** Closes the session before, if it has nothing to give any more. */
  letGo(lingered = false): void {
    if (this.#old && this.#listener.mayLetGo(this.#old, lingered)) this.#drop(this.#old);
  }

  /** A ticket; rejects when it takes too long, or `abort` says so. */
  async fetchTicket(reason: TicketRequest['reason'], abort = new AbortController()): Promise<string | null> {
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
      return (await Promise.race([getTicket({ reason, signal: abort.signal }), ended])) ?? null;
    } finally {
      release();
    }
  }

  async #open(way = this.#choice.now): Promise<void> {
    const turn = ++this.#turn;
    this.#timer = undefined;
    this.#notBefore = 0;
    const abort = (this.#abort = new AbortController());
    let ticket: string | null;
    try {
      ticket = await this.fetchTicket('connect', abort);
    } catch (cause) {
      if (turn !== this.#turn) return;
      this.#abort = undefined;
      if (this.#givenUp()) return;
      const error = localError('ticket', `no ticket: ${messageOf(cause)}`, cause);
      if (cause instanceof UnauthorizedError) return this.stop(Code.authenticationRequired, cause.message, error);
      this.#listener.ticketFailed(error);
      if (turn === this.#turn) this.#schedule(Code.local, 'ticket', this.#backoff.next());
      return;
    }
    if (turn !== this.#turn) return;
    this.#abort = undefined;
    // The same ticket would be refused again.
    if (this.#refused && ticket === this.#ticket) return this.stop(this.#refused.code, this.#refused.reason, this.#refused);
    this.#ticket = ticket;
    this.#way = way;
    const { name, transport, codec, url } = this.#ways[way]!;
    try {
      const address = url(this.#urls[this.#urlIndex % this.#urls.length]!);
      this.#attempt = new Session({ ...this.#options, name, transport, codec, url: address, ticket }, this.#sessions);
    } catch (cause) {
      // A malformed address, or no WebSocket: it won't get better.
      this.stop(Code.local, messageOf(cause), localError('disconnected', messageOf(cause), cause));
    }
  }

  #schedule(code: number, reason: string, delayMs: number): void {
    this.#timer = setTimeout(() => void this.#open(), delayMs);
    // While a connection is there nobody need know.
    if (!this.#live) this.#listener.scheduled({ code, reason, delayMs, attempt: this.#backoff.attempt });
  }

  get #trying(): boolean {
    return this.#timer !== undefined || this.#abort !== undefined || this.#attempt !== undefined;
  }

  // Tries the first way beside another that works, or else next.
  #tryFirst(): void {
    if (!this.#live) return this.#choice.again();
    if (this.#trying) return this.#upgradeIn(this.#choice.notYet());
    this.#upgrading = true;
    void this.#open(0);
  }

  #upgradeIn(ms: number | undefined): void {
    clearTimeout(this.#upgrade);
    // Not all at once: others lost their WebSockets when we did.
    if (ms !== undefined) this.#upgrade = setTimeout(() => this.#tryFirst(), ms * (0.75 + Math.random() / 2));
  }

  /** Whether what failed was only such a try. */
  #givenUp(): boolean {
    const given = this.#upgrading && this.#live !== undefined;
    this.#upgrading = false;
    if (given) this.#upgradeIn(this.#choice.notYet());
    return given;
  }

  #established(session: Session, info: Connected): void {
    this.#attempt = undefined;
    this.#upgrading = false;
    this.#upgradeIn(this.#choice.connected(this.#way));
    this.#refused = undefined;
    this.#refusals = 0;
    this.#notBefore = 0;
    if (this.#old) this.#drop(this.#old);
    const old = (this.#old = this.#live);
    clearTimeout(this.#linger);
    if (old) this.#linger = setTimeout(() => this.letGo(true), LINGER_MS);
    this.#live = session;
    this.#since = Date.now();
    this.#info = info;
    this.#setState('connected');
    if (this.#live !== session) return; // a listener wants it otherwise
    this.#listener.established(session, info);
    this.letGo();
  }

  #receive(session: Session, frame: Frame): void {
    // An error before the session is established ends it, and is told with that.
    if (session !== this.#attempt) this.#listener.frame(session, frame);
  }

  #drop(session: Session): void {
    if (this.#old === session) this.#old = undefined;
    session.close();
    this.#listener.gone(session);
  }

  #ended(session: Session, { code, reason, error: told }: SessionEnd): void {
    if (session === this.#old) return this.#drop(session);
    if (session === this.#live) {
      const stable = Date.now() - this.#since >= STABLE_MS;
      if (stable) this.#backoff.reset();
      if (reason === SILENT) this.#choice.failed(this.#choice.now, true);
      else if (stable) this.#choice.worked();
      else if (unsaid(code)) this.#choice.failed(this.#choice.now, false);
      this.#live = undefined;
      this.#info = undefined;
      const turn = this.#turn;
      this.#setState('connecting');
      if (this.#old) this.#drop(this.#old);
      this.#listener.gone(session);
      if (this.#state === 'disconnected' || turn !== this.#turn) return; // a listener wants it otherwise
    } else {
      this.#attempt = undefined;
      if (this.#givenUp()) return;
      if (unsaid(code)) this.#choice.failed(this.#way, reason === SLOW);
    }
    const error = told ?? (code >= 4000 ? new WeftError(code, reason) : undefined);
    if (FINAL.includes(code)) return this.stop(code, reason, error);
    if (REFUSED.includes(code)) {
      this.#refused = error;
      if (!this.#options.getTicket || ++this.#refusals >= REFUSALS) return this.stop(code, reason, error);
    }
    if (this.#trying) {
      const delayMs = Math.max(0, this.#notBefore - Date.now());
      return this.#listener.scheduled({ code, reason, delayMs, attempt: this.#backoff.attempt });
    }
    this.#urlIndex += 1;
    const atLeastMs = error?.retryAfterMs ?? 0;
    this.#notBefore = Date.now() + atLeastMs;
    this.#schedule(code, reason, atLeastMs + this.#backoff.next());
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
    this.#state = current;
    if (previous !== current) this.#listener.state(previous, current);
  }
}

/** Whether it wasn't the server who ended it. */
const unsaid = (code: number) => code < 4000 && code !== 1001 && code !== 1012;

const messageOf = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause));

