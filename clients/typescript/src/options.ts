// What clients and channels are given, and what they tell.
import type { BackoffOptions } from './backoff.js';
import type { Codec } from './codec.js';
import type { WeftError } from './errors.js';
import type { ChannelEvent, Connected, Join, Leave, Signal, Subscribed } from './payloads.js';
import type { Transport, WebSocketConstructor } from './transport.js';

/** How a call may be bounded. */
export interface CallOptions {
  /** Milliseconds from the call to its answer, waiting for a connection included. */
  timeoutMs?: number;
  /** Ends the wait; the promise is rejected with the signal's reason. What was sent is not called back. */
  signal?: AbortSignal;
}

/** How the server is reached: by a WebSocket, by server-sent events or by one request after the other. */
export type TransportName = 'websocket' | 'sse' | 'poll';

/** Addresses for where WebSocket doesn't get through: absolute, or relative to that of the WebSocket. */
export interface FallbackOptions {
  /** A location with `weft_sse`. */
  sse?: string;
  /** A location with `weft_poll`. */
  poll?: string;
  /** A location with `weft_publish`: `{channel}` in it is replaced by the channel, else `channel=` is appended. */
  publish?: string;
}

export type ClientState = 'disconnected' | 'connecting' | 'connected';

/** What `getTicket` is told. */
export interface TicketRequest {
  /** `refresh`: the ticket that is in use ends soon. */
  reason: 'connect' | 'refresh';
  /** Aborted when the ticket is not wanted any more; give it to fetch(). */
  signal: AbortSignal;
}

export interface ClientOptions {
  /**
   * Asked for a ticket before each connection, and before the one in use ends. null for none (a cookie, a certificate, an
   * anonymous location). What it throws is retried, except an {@link UnauthorizedError}. Left out: no ticket.
   */
  getTicket?: (request: TicketRequest) => string | null | Promise<string | null>;
  /** How the ticket is shown: offered as a subprotocol (default), or as the first message where the server waits for one. */
  ticketIn?: 'subprotocol' | 'message';
  /** The constructor to use where there is no global WebSocket (Node 20): that of the package `ws`. */
  WebSocket?: WebSocketConstructor;
  /** How long to wait between attempts. */
  backoff?: BackoffOptions;
  /** For a ticket, and for a connection from its opening to `connection_established`. Default 10000. */
  connectTimeoutMs?: number;
  /** For rpc, history, presence, refresh. Default 10000. */
  requestTimeoutMs?: number;
  /** For publications, waiting for a connection included. Default 30000. */
  publishTimeoutMs?: number;
  /** Silence after which the server is pinged. Default: its own `heartbeat_ms`. */
  heartbeatMs?: number;
  /** How long a pong may take. Default 10000. */
  pongTimeoutMs?: number;
  /** How many commands may wait to be sent or answered. Default 1000. */
  maxQueue?: number;
  /** What to use where WebSocket doesn't get through. Default: nothing. */
  fallback?: FallbackOptions;
  /** What to try, in this order. Default: websocket, and what `fallback` has an address for. */
  transports?: readonly TransportName[];
  /** After how long on another transport the first is tried again, the first time; later seldomer. Default 120000. */
  upgradeAfterMs?: number;
  /** The fetch() to use for `fallback`. Default: the global one. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Another way to the server than WebSocket. */
  transport?: Transport;
  /** Another encoding than JSON. */
  codec?: Codec;
}

export interface ClientEvents {
  state: { previous: ClientState; current: ClientState };
  /** An attempt will be made in `delayMs`; `code` and `reason` say why the last connection or attempt ended. */
  connecting: { code: number; reason: string; delayMs: number; attempt: number };
  /** Also when a node that goes is left for another, and the state was `connected` all the time. */
  connected: Connected;
  /** No attempt will be made until connect() is called. `code` 0: disconnect() was called. */
  disconnected: { code: number; reason: string; error?: WeftError };
  /** The server asks to go elsewhere after so long; the client does. */
  reconnect: { afterMs: number; reason: string };
  /** What no promise tells: an error frame that answers nothing of ours, or a ticket that could not be had. */
  error: WeftError;
}

export type ChannelState = 'unsubscribed' | 'subscribing' | 'subscribed';

export interface ChannelOptions {
  /** Where to resume, such as a `channel.position` that was kept when the page was left. */
  position?: string;
  /** Whether this connection gets what it publishes itself. Default true. */
  echo?: boolean;
}

export interface PublishOptions extends CallOptions {
  /** 1 to 64 bytes; one is made if none is given. What is published again with the same is delivered once. */
  messageId?: string;
}

export interface PageOptions extends CallOptions {
  after?: string;
  limit?: number;
}

export interface ChannelEvents<T = unknown> {
  /** A publication: each once, in order, across reconnects. */
  event: ChannelEvent<T>;
  /** A signal: typing, cursors; only while connected. */
  signal: Signal;
  join: Join;
  leave: Leave;
  /** Joins or leaves may have been missed: ask `presence` again. */
  presenceGap: { channel: string };
  /** Publications may have been missed and can't be had any more: load the state afresh. */
  gap: { channel: string };
  /** The server has taken the subscription, the first time and after each reconnect. */
  subscribed: Subscribed;
  /** The subscription has ended: by unsubscribe() (code 0), or by the server. It isn't tried again. */
  unsubscribed: { channel: string; code: number; reason: string };
  /** An attempt to subscribe failed. Unless `unsubscribed` follows, it is tried again. */
  error: WeftError;
}
