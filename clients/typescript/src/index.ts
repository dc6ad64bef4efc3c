export { WeftClient } from './client.js';
export { Channel } from './channel.js';
export type {
  CallOptions,
  ChannelEvents,
  ChannelOptions,
  ChannelState,
  ClientEvents,
  ClientOptions,
  ClientState,
  FallbackOptions,
  PageOptions,
  PublishOptions,
  TicketRequest,
  TransportName,
} from './options.js';
export { Code, UnauthorizedError, WeftError } from './errors.js';
export type { LocalReason } from './errors.js';
export { Emitter } from './emitter.js';
export type { Listener } from './emitter.js';
export type { BackoffOptions } from './backoff.js';
export { jsonCodec } from './codec.js';
export { protobufCodec } from './protobuf.js';
export type { Codec, Frame, JsonText } from './codec.js';
export { webSocketTransport } from './transport.js';
export type { Transport, TransportConnection, TransportListener, WebSocketConstructor, WebSocketLike } from './transport.js';
export type {
  ChannelEvent,
  Connected,
  HistoryPage,
  Join,
  Leave,
  Limits,
  Member,
  PresencePage,
  Published,
  Publisher,
  Signal,
  Subscribed,
} from './payloads.js';
