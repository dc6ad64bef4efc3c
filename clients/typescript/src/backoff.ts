/** How long to wait before a reconnect. */
export interface BackoffOptions {
  /** The longest first wait, in milliseconds. Default 1000. */
  baseMs?: number;
  /** The longest wait of all, in milliseconds. Default 30000. */
  maxMs?: number;
}

/**
 * Exponential backoff with full jitter: the n-th wait is anything between 0 and min(maxMs, baseMs · 2^n), so that clients
 * that lost the same server come back spread out.
 */
export class Backoff {
  #attempt = 0;
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;

  constructor(options: BackoffOptions = {}, random: () => number = Math.random) {
    this.#baseMs = options.baseMs ?? 1_000;
    this.#maxMs = options.maxMs ?? 30_000;
    this.#random = random;
  }

  /** How many waits there were since the last reset. */
  get attempt(): number {
    return this.#attempt;
  }

  next(): number {
    const longest = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.#attempt++, 30));
    return Math.round(this.#random() * longest);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
