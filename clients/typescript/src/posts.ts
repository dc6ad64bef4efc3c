import type { Frame, JsonText } from './codec.js';
import { deadline } from './deadline.js';
import { Code } from './errors.js';
import { initOf, refusalOf, UNSAID, withChannels, type Fetch, type Refusal } from './http.js';

const RETRY_MS = 100; // the first wait after a request that failed; each doubles it
const DOUBLINGS = 6;

export interface PostOptions {
  url: string;
  fetch: Fetch;
  json: JsonText;
  timeoutMs: number;
  /** The one to show now. */
  ticket(): string | null;
  /** The ticket was refused: another is wanted. */
  refused(error: Refusal): void;
  answer(frame: Frame): void;
}

/** Publications by HTTP: those of one channel go one after the other, since requests know no order. */
export class Posts {
  readonly #options: PostOptions;
  readonly #queues = new Map<unknown, Frame[]>(); // by channel
  readonly #running = new Set<AbortController>();
  #failures = 0;
  #blamed: string | null | undefined; // the ticket that was refused last

  constructor(options: PostOptions) {
    this.#options = options;
  }

  /** Takes a `publish` frame, and answers it as the server would. */
  put(frame: Frame): void {
    const { channel } = frame.payload!;
    const queue = this.#queues.get(channel);
    if (queue) {
      queue.push(frame);
    } else {
      this.#queues.set(channel, [frame]);
      void this.#run(channel as string, this.#queues.get(channel)!);
    }
  }

  end(): void {
    this.#queues.forEach((queue) => (queue.length = 0));
    this.#running.forEach((abort) => abort.abort());
  }

  async #run(channel: string, queue: Frame[]): Promise<void> {
    while (queue.length > 0) {
      const answer = await this.#post(channel, queue[0]!.payload!);
      const later = answer.payload!.code === Code.unavailable || answer.payload!.code === Code.rateLimited;
      // What can't go now goes later, and with it what waits behind it, so that order is kept.
      for (const { id } of queue.splice(0, later ? queue.length : 1)) this.#options.answer({ ...answer, id });
    }
    this.#queues.delete(channel);
  }

  async #post(channel: string, { data, message_id }: Record<string, any>): Promise<Frame> {
    const { url, fetch, json, timeoutMs, refused, ...options } = this.#options;
    const ticket = options.ticket();
    const abort = new AbortController();
    const release = deadline(timeoutMs, () => abort.abort());
    this.#running.add(abort);
    try {
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': message_id };
      const response = await fetch(withChannels(url, [channel]), {
        ...initOf(ticket, headers, abort),
        method: 'POST',
        body: json.stringify(data),
      });
      if (response.ok) {
        const payload = json.parse(await response.text()) as Frame['payload'];
        this.#failures = 0;
        this.#blamed = undefined;
        return { type: 'published', payload };
      }
      const payload = await refusalOf(response, json);
      if (response.status === 401 && (this.#blamed ?? ticket) === ticket) {
        // With another ticket it may be taken.
        if (this.#blamed === undefined) refused(payload);
        this.#blamed = ticket;
      } else if (payload.code !== UNSAID) {
        return { type: 'error', payload };
      } else if (response.status < 500) {
        return { type: 'error', payload: { ...payload, code: Code.unknownError } };
      }
    } catch {
      // Whether it arrived is not known: it goes again under the same id.
    } finally {
      release();
      this.#running.delete(abort);
    }
    const retry_after_ms = RETRY_MS * 2 ** Math.min(this.#failures++, DOUBLINGS);
    return { type: 'error', payload: { code: Code.unavailable, reason: 'unavailable', retry_after_ms } };
  }
}
