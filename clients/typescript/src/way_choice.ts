const TRIES = 2;

/** Which of the ways to the server is taken: the next when one fails, and the first again after a while. */
export class WayChoice {
  readonly #count: number;
  readonly #upgradeAfterMs: number;
  #now = 0;
  #strikes = 0;
  #pauseMs = 0; // until the first is tried again

  constructor(count: number, upgradeAfterMs: number) {
    this.#count = count;
    this.#upgradeAfterMs = upgradeAfterMs;
  }

  get now(): number {
    return this.#now;
  }

  start(): void {
    this.#now = 0;
    this.#strikes = 0;
    this.#pauseMs = this.#upgradeAfterMs;
  }

  /** It worked for a while. */
  worked(): void {
    this.#strikes = 0;
  }

  /** A try of this one failed; `surely`: another would fail as well. */
  failed(way: number, surely: boolean): void {
    if (this.#count === 1 || way !== this.#now) return;
    this.#strikes += surely ? TRIES : 1;
    if (this.#strikes < TRIES) return;
    this.#strikes = 0;
    this.#now = (this.#now + 1) % this.#count;
  }

  /** The one that is connected. Returns after how long the first should be tried beside it, if it is another. */
  connected(way: number): number | undefined {
    if (way !== this.#now) this.#strikes = 0;
    this.#now = way;
    if (way > 0) return this.#pauseMs;
    this.#pauseMs = this.#upgradeAfterMs;
    return undefined;
  }

  /** The first was tried again, in vain. Returns after how long it may be tried once more. */
  notYet(): number {
    this.#pauseMs = Math.min(this.#pauseMs * 2, Math.max(this.#upgradeAfterMs, LONGEST_MS));
    return this.#pauseMs;
  }

  /** There is no connection, and it is time: the first is tried once. */
  again(): void {
    this.#now = 0;
    this.#strikes = TRIES - 1;
  }
}

const LONGEST_MS = 1_800_000;
