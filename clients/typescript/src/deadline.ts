// A timer that fires this much too late was held back: the tab was in the background, or the machine asleep.
const LATE_MS = 1_000;

/**
 * Calls `expired` after `ms`, unless the returned function is called before. A timer that was held back proves nothing,
 * since the answer may have come meanwhile and wait behind it: then it is given half of its time, at most 5 s, once more.
 */
export function deadline(ms: number, expired: () => void): () => void {
  const due = Date.now() + ms;
  let timer = setTimeout(() => {
    if (Date.now() - due <= LATE_MS) return expired();
    timer = setTimeout(expired, Math.min(ms / 2, 5_000));
  }, ms);
  return () => clearTimeout(timer);
}
