/** Remembers the newest keys, at most `count` of them and none longer than `ageMs`. */
export class RecentKeys {
  readonly #seen = new Map<string, number>(); // in order of insertion, so the first is the oldest
  readonly #count: number;
  readonly #ageMs: number;

  constructor(count: number, ageMs: number) {
    this.#count = count;
    this.#ageMs = ageMs;
  }

  /** Adds the key; false if it was there. */
  add(key: string, now = Date.now()): boolean {
    const before = this.#seen.get(key);
    if (before !== undefined && now - before < this.#ageMs) return false;
    this.#seen.delete(key);
    this.#seen.set(key, now);
    if (this.#seen.size > this.#count) this.#seen.delete(this.#seen.keys().next().value!);
    return true;
  }

  has(key: string): boolean {
    return this.#seen.has(key);
  }
}
