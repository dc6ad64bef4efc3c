/** Calls `woken` when a page is looked at again or its network is back; the returned function ends that. */
export function onWake(woken: () => void): () => void {
  const { document } = globalThis as { document?: Document };
  if (!document) return () => {};
  const seen = () => {
    if (document.visibilityState === 'visible') woken();
  };
  document.addEventListener('visibilitychange', seen);
  globalThis.addEventListener('online', woken);
  return () => {
    document.removeEventListener('visibilitychange', seen);
    globalThis.removeEventListener('online', woken);
  };
}
