// What listening by HTTP is made of.
import type { JsonText } from './codec.js';
import type { Fetch, Refusal } from './http.js';
import type { RecentKeys } from './recent.js';

/** A subscription as a channel wants it. */
export interface Wanted {
  channel: string;
  position?: string;
  echo?: boolean;
}

export interface HttpOptions {
  /** Where to listen, and where to publish, if anywhere. */
  listen: string;
  publish: string | undefined;
  /** One short answer after the other, instead of a stream. */
  poll: boolean;
  fetch: Fetch;
  json: JsonText;
  timeoutMs: number;
  /** What will be subscribed to as soon as there is a connection. */
  wanted(): Wanted[];
  /** Ids of what was published by HTTP, which knows no connection that it could keep its echo from. */
  own: RecentKeys;
}

/** One that an HttpConnection keeps. */
export interface Subscription extends Wanted {
  id: string | undefined; // of the command that waits for an answer
  told: boolean; // one was answered
  by: Listening | undefined; // whose events count
  seen: RecentKeys; // positions that were told while another request took over
  reached?: (position: string) => void;
}

/** One request that listens. */
export interface Listening {
  readonly abort: AbortController;
  readonly channels: ReadonlyMap<string, Subscription>;
  refusal?: Refusal;
}
