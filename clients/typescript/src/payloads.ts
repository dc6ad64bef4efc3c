import type { TransportName } from './options.js';

// What the server says, as this client tells it: the protocol's names in camel case. docs/protocol.md has the originals.

export interface Publisher {
  user: string;
  clientId: string;
}

/** A publication. */
export interface ChannelEvent<T = unknown> {
  channel: string;
  data: T;
  /** Opaque; where a client stands that has had this event. */
  position: string;
  messageId: string;
  /** RFC 3339, UTC, milliseconds. */
  timestamp: string;
  /** Absent when a back end published. */
  publisher?: Publisher;
}

export interface Signal {
  channel: string;
  name: string;
  data: unknown;
  publisher?: Publisher;
}

export interface Member {
  /** What to keep a list of members by: it outlives reconnects. */
  id: string;
  clientId: string;
  user: string;
  info?: unknown;
}

export interface Join {
  channel: string;
  member: Member;
  /** Whether no other member of this user was there. */
  first: boolean;
  /** Members afterwards. */
  count: number;
}

export interface Leave {
  channel: string;
  member: Member;
  /** Whether no member of this user is left. */
  last: boolean;
  /** Members afterwards. */
  count: number;
}

export interface Subscribed {
  channel: string;
  position: string;
  /** Nothing was missed, or what was missed follows now. Always false the first time. */
  recovered: boolean;
  /** How many events follow before anything live. */
  replay: number;
  /** Whether a position was given, so that `recovered` means something. */
  resumed: boolean;
  /** How many members there are, on channels with presence. */
  members?: number;
}

export interface Published {
  messageId: string;
  position: string;
}

export interface HistoryPage<T = unknown> {
  channel: string;
  /** Oldest first. */
  events: ChannelEvent<T>[];
  /** What to give as `after` for the next page. */
  position: string;
  /** Whether there is no newer event than the last of these. */
  complete: boolean;
  /** False if something between `after` and the first event can't be had. */
  recovered: boolean;
}

export interface PresencePage {
  channel: string;
  count: number;
  /** Absent where the channel's rule says `presence counts`. */
  members?: Member[];
  /** How many users the members are. */
  users?: number;
  /** Whether these are the last members; else ask again with `after`, the last one's id. */
  complete: boolean;
}

export interface Limits {
  messageSize: number;
  /** 0 and none where nothing limits them. */
  messagesPerSecond: number;
  messagesBurst?: number;
  bytesPerSecond?: number;
  subscriptions: number;
  pendingRpcs: number;
}

export interface Connected {
  /** Empty, as `user`, where the transport is told neither: `poll`, and `sse` without a channel at the beginning. */
  clientId: string;
  user: string;
  serverTime: string;
  heartbeatMs: number;
  limits: Limits;
  /** When the ticket ends; absent where there is none. */
  expiresAt?: string;
  /** The node's name; absent while its broker is away. */
  node?: string;
  /** How the connection was made. */
  transport: TransportName;
}

type Wire = Record<string, any>;

const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** An object with its own members' names in camel case; what is in them stays as it is. */
export function camelCase<T>(wire: Wire): T {
  return Object.fromEntries(Object.entries(wire).map(([name, value]) => [camel(name), value])) as T;
}

/** A payload that may hold a publisher or a member, whose names are the protocol's, too; `data` and `info` are not ours. */
export function fromWire<T>(wire: Wire): T {
  const made = camelCase<Wire>(wire);
  for (const who of ['publisher', 'member', 'limits']) if (made[who]) made[who] = camelCase(made[who]);
  return made as T;
}
