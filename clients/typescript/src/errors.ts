/** The server's codes, by the names that its frames give them (`reason`). docs/protocol.md says when each comes. */
export const Code = {
  /** Made by this client, not by the server: `reason` says which. */
  local: 0,
  unknownError: 4000,
  authenticationRequired: 4001,
  authenticationFailed: 4002,
  originNotAllowed: 4003,
  rateLimited: 4004,
  messageTooLarge: 4005,
  invalidMessage: 4006,
  channelNotFound: 4007,
  channelFull: 4008,
  banned: 4009,
  permissionDenied: 4010,
  notSubscribed: 4011,
  tokenExpired: 4012,
  revoked: 4013,
  slowConsumer: 4014,
  tooManyConnections: 4015,
  tooManySubscriptions: 4016,
  unavailable: 4017,
  methodNotFound: 4018,
  timeout: 4019,
} as const;

/** Why this client itself gave something up; the `reason` of a {@link WeftError} with code 0. */
export type LocalReason =
  | 'timeout' // no answer in time; a publication may have been delivered all the same
  | 'connection_lost' // the connection ended after an rpc was sent, so whether it was executed is not known
  | 'disconnected' // disconnect() was called, or the server doesn't let us in
  | 'unsubscribed' // unsubscribe() was called before the subscription was answered
  | 'queue_full' // more waits already than `maxQueue`
  | 'ticket' // getTicket failed
  | 'invalid_frame' // what came can't be understood
  | 'unsupported'; // the transport in use can't carry this

/** An `error` of the server, or what this client gave up by itself (then `code` is 0). */
export class WeftError extends Error {
  override readonly name = 'WeftError';

  constructor(
    /** 4000 to 4019 from the server ({@link Code}), 0 from this client. */
    readonly code: number,
    /** The code's name: `rate_limited`, …; of code 0 a {@link LocalReason}. */
    readonly reason: string,
    message?: string,
    /** How long to wait before trying again, where the server says so. */
    readonly retryAfterMs?: number,
    cause?: unknown,
  ) {
    super(message || reason, cause === undefined ? undefined : { cause });
  }
}

/** Thrown by `getTicket` to say that this user gets no ticket: the client disconnects and doesn't try again. */
export class UnauthorizedError extends Error {
  override readonly name = 'UnauthorizedError';
}

export function localError(reason: LocalReason, message?: string, cause?: unknown): WeftError {
  return new WeftError(Code.local, reason, message, undefined, cause);
}
