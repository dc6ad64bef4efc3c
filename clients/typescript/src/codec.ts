/** One message of the protocol, either way. */
export interface Frame {
  type: string;
  id?: string;
  payload?: Record<string, unknown>;
}

/** How JSON is read and written. */
export interface JsonText {
  parse(text: string): unknown;
  stringify(value: unknown): string;
}

/** Turns frames into what a WebSocket carries, and back. */
export interface Codec {
  /** What is offered to the server: a WebSocket subprotocol that names the protocol and its encoding. */
  readonly subprotocol: string;
  encode(frame: Frame): string | Uint8Array;
  /** Throws if this is no frame. */
  decode(message: string | ArrayBuffer): Frame;
  /** For the transports over HTTP, which speak nothing but JSON. Default: the global JSON. */
  readonly json?: JsonText;
}

/**
 * weft.v1.json, the default. `parse` and `stringify` may be given to keep what JSON.parse loses, such as the last digits
 * of numbers beyond 2^53.
 */
export function jsonCodec(
  parse: (text: string) => unknown = JSON.parse,
  stringify: (value: unknown) => string = JSON.stringify,
): Codec {
  return {
    subprotocol: 'weft.v1.json',
    json: { parse, stringify },
    encode: stringify,
    decode(message) {
      const frame = typeof message === 'string' ? (parse(message) as Frame | null) : null;
      if (typeof frame?.type !== 'string') throw new TypeError('not a frame');
      return frame;
    },
  };
}
