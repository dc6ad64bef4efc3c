import type { Frame } from './codec.js';
import { deadline } from './deadline.js';
import { localError, WeftError, Code } from './errors.js';
import type { CallOptions } from './options.js';
import { Pace } from './pace.js';
import type { Limits } from './payloads.js';
import { errorOf, type Session } from './session.js';

/** What is done with a command beyond sending it once. */
export interface CommandManners extends CallOptions {
  /** Sent again on the next connection when this one ends before the answer. */
  repeat?: boolean;
  /** Sent again, after a wait, when answered with one of these codes. */
  retry?: readonly number[];
  /** Goes before all others, and only on this connection. */
  urgent?: boolean;
  /** Commands of one channel keep their order, whatever has to be repeated. */
  channel?: string;
}

type Answered = (error: unknown, payload: Record<string, any>, session: Session | undefined) => void;

interface Command {
  frame: Frame & { id: string };
  manners: CommandManners;
  session: Session | undefined; // where it was sent, if it was
  notBefore: number;
  lastError: WeftError | undefined;
  answered: Answered;
  release: () => void; // its timer and its signal
}

// As many commands may be unanswered on a connection. Should the server refuse them all, that is not yet going on in spite
// of refusals, for which it would close.
const WINDOW = 64;
const RETRY_MS = 1_000; // where the server doesn't say how long to wait

/** Commands that wait to be sent, or to be answered, in the order in which they were given. */
export class Outbox {
  readonly #commands = new Map<string, Command>(); // by id, in order
  readonly #pace = new Pace();
  readonly #bound: number;
  readonly #held: (channel: string) => boolean;
  readonly #timedOut: () => void;
  #session: Session | undefined;
  #nextId = 1;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** At most `bound` commands; those of a channel wait while `held` says so; `timedOut` hears of answers that don't come. */
  constructor(bound: number, held: (channel: string) => boolean, timedOut: () => void) {
    this.#bound = bound;
    this.#held = held;
    this.#timedOut = timedOut;
  }

  /** From now on commands go here; those that `first` gives before any that waits. */
  start(session: Session, limits: Limits | undefined, first: () => void): void {
    this.#session = undefined;
    first();
    this.#session = session;
    const rate = limits?.messagesPerSecond ?? 0;
    this.#pace.start(rate, limits?.messagesBurst ?? rate, Date.now());
    this.flush();
  }

  /** This connection ended: what it left unanswered is repeated on the next, or fails. */
  lost(session: Session): void {
    if (this.#session === session) this.#session = undefined;
    for (const command of [...this.#commands.values()]) {
      if (command.session !== session) continue;
      command.session = undefined;
      if (!command.manners.repeat) this.#settle(command, localError('connection_lost'), {});
    }
    this.flush();
  }

  /** Whether this connection still owes answers. */
  owes(session: Session): boolean {
    return [...this.#commands.values()].some((command) => command.session === session);
  }

  /** There is no connection, and none will be: what waits fails. */
  stop(error: WeftError): void {
    this.#session = undefined;
    clearTimeout(this.#timer);
    for (const command of [...this.#commands.values()]) this.#settle(command, error, {});
  }

  ask(type: string, payload: Record<string, unknown>, manners: CommandManners): Promise<Record<string, any>> {
    return new Promise((resolve, reject) => {
      this.put(type, payload, manners, (error, answer) => (error === undefined ? resolve(answer) : reject(error)));
    });
  }

  /** Like `ask`, for those who must know the answer before the frame after it is looked at. */
  put(type: string, payload: Record<string, unknown>, manners: CommandManners, answered: Answered): void {
    const { signal, timeoutMs } = manners;
    if (signal?.aborted) return answered(signal.reason, {}, undefined);
    if (!manners.urgent && this.#commands.size >= this.#bound) {
      return answered(localError('queue_full', `${this.#bound} commands wait already`), {}, undefined);
    }
    const id = `c${this.#nextId++}`;
    const abort = () => this.#settle(command, signal!.reason, {});
    const cancel = timeoutMs === undefined ? undefined : deadline(timeoutMs, () => this.#expire(command));
    signal?.addEventListener('abort', abort, { once: true });
    const command: Command = {
      frame: { type, id, payload },
      manners,
      session: undefined,
      notBefore: 0,
      lastError: undefined,
      answered,
      release() {
        cancel?.();
        signal?.removeEventListener('abort', abort);
      },
    };
    this.#commands.set(id, command);
    this.flush();
  }

  /** Takes an answer; false if it answers nothing of ours. */
  take(session: Session, frame: Frame): boolean {
    const command = frame.id === undefined ? undefined : this.#commands.get(frame.id);
    if (!command || command.session !== session) return false;
    if (frame.type !== 'error') {
      this.#settle(command, undefined, frame.payload ?? {});
    } else {
      const error = errorOf(frame);
      if (command.manners.retry?.includes(error.code)) {
        command.session = undefined;
        command.lastError = error;
        command.notBefore = Date.now() + (error.retryAfterMs ?? RETRY_MS) * (1 + Math.random() / 4);
      } else {
        this.#settle(command, error, {});
      }
    }
    this.flush();
    return true;
  }

  /** Takes the right to send something beside the commands; false if the server wouldn't have it now. */
  mayPass(): boolean {
    return this.#pace.take(Date.now()) === 0;
  }

  /** Sends what may be sent. */
  flush(): void {
    clearTimeout(this.#timer);
    if (!this.#session) return;
    const wait = Math.min(this.#flush(true), this.#flush(false));
    if (wait < Infinity) this.#timer = setTimeout(() => this.flush(), wait);
  }

  // Returns for how long it is of no use to come again.
  #flush(urgent: boolean): number {
    const now = Date.now();
    const waiting = new Set<string>(); // channels of which a command could not go, so that none passes it
    let unanswered = 0;
    let wait = Infinity;
    for (const command of this.#commands.values()) {
      const { manners } = command;
      if (Boolean(manners.urgent) !== urgent) continue;
      if (command.session) {
        unanswered += 1;
        continue;
      }
      if (!urgent && unanswered >= WINDOW) break;
      if (manners.channel !== undefined && (waiting.has(manners.channel) || this.#held(manners.channel))) continue;
      let pause = command.notBefore - now;
      if (pause <= 0) pause = this.#pace.take(now);
      if (pause > 0) {
        wait = Math.min(wait, pause);
        if (command.notBefore <= now) break; // nobody may send now
        if (manners.channel !== undefined) waiting.add(manners.channel);
        continue;
      }
      command.session = this.#session;
      unanswered += 1;
      if (!this.#session!.send(command.frame)) {
        this.#settle(command, new WeftError(Code.messageTooLarge, 'message_too_large'), {});
      }
    }
    return wait;
  }

  #expire(command: Command): void {
    const { lastError } = command;
    this.#settle(command, lastError ?? localError('timeout', `no answer to ${command.frame.type} in time`), {});
    if (!lastError) this.#timedOut();
    this.flush();
  }

  #settle(command: Command, error: unknown, payload: Record<string, any>): void {
    if (!this.#commands.delete(command.frame.id)) return;
    command.release();
    command.answered(error, payload, command.session);
  }
}

/** Codes after which the same command may do: nothing was executed. */
export const RETRY_REFUSED: readonly number[] = [Code.rateLimited];
/** The same for commands that do no harm when they are executed twice. */
export const RETRY_UNAVAILABLE: readonly number[] = [Code.rateLimited, Code.unavailable];
