/** Takes an event's payload. What it throws is reported as uncaught and disturbs nobody else. */
export type Listener<T> = (payload: T) => void;

/** Typed events: `on` returns a function that takes the listener off again. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Listener<never>[]>();

  on<Name extends keyof Events>(event: Name, listener: Listener<Events[Name]>): () => void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return () => this.off(event, listener);
  }

  once<Name extends keyof Events>(event: Name, listener: Listener<Events[Name]>): () => void {
    const off = this.on(event, (payload) => {
      off();
      listener(payload);
    });
    return off;
  }

  /** Takes off this listener, or all of the event. */
  off<Name extends keyof Events>(event: Name, listener?: Listener<Events[Name]>): void {
    const left = listener ? (this.#listeners.get(event) ?? []).filter((one) => one !== listener) : [];
    this.#listeners.set(event, left);
  }

  /** @internal */
  emit<Name extends keyof Events>(event: Name, payload: Events[Name]): void {
    for (const listener of (this.#listeners.get(event) ?? []) as Listener<Events[Name]>[]) {
      try {
        listener(payload);
      } catch (error) {
        // As an EventTarget does: the fault is told, and the others hear of the event all the same.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
