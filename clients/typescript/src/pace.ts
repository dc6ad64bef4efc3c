/** A token bucket that keeps to what the server lets a connection send. */
export class Pace {
  #tokens = Infinity;
  #perMs = 0; // 0: nothing limits it
  #burst = Infinity;
  #at = 0;

  /** A new connection, and what it may send: 0 for as much as it likes. */
  start(perSecond: number, burst: number, now: number): void {
    this.#perMs = perSecond / 1000;
    // A little is left for pings and signals, which pass by, and for clocks that differ.
    this.#burst = perSecond > 0 ? Math.max(1, Math.floor(burst * 0.9)) : Infinity;
    this.#tokens = this.#burst;
    this.#at = now;
  }

  /** Takes one and answers 0, or answers for how many milliseconds there is none. */
  take(now: number): number {
    if (this.#perMs > 0) {
      this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#perMs);
      this.#at = now;
    }
    if (this.#tokens < 1) return Math.ceil((1 - this.#tokens) / this.#perMs);
    this.#tokens -= 1;
    return 0;
  }
}
