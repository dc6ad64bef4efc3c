import type { Codec, Frame } from './codec.js';

// The messages of proto/weft/v1/client.proto as tables: field number -> name in weft.v1.json, kind, and how it is told when
// it is absent. Kinds: s string, j JSON text, u unsigned number, d double, b bool, t time in Unix milliseconds, or a message.
type Kind = 's' | 'j' | 'u' | 'd' | 'b' | 't';
/** '!': 0, '' or false when it is absent; '*': any number of them; '?': written even when it is empty. */
type Presence = '!' | '*' | '?';
type Field = readonly [name: string, kind: Kind | Message, presence?: Presence];
type Message = { readonly [number: number]: Field };
type Fields = Record<string, any>;

const token: Message = { 1: ['token', 's'] };
const channel: Message = { 1: ['channel', 's'] };
const page: Message = { ...channel, 2: ['after', 's'], 3: ['limit', 'u'] };
const publisher: Message = { 1: ['user', 's', '!'], 2: ['client_id', 's', '!'] };
const member: Message = { 1: ['id', 's', '!'], 2: ['client_id', 's', '!'], 3: ['user', 's'], 4: ['info', 'j'] };
const change: Message = { ...channel, 2: ['member', member], 3: ['edge', 'b', '!'], 4: ['count', 'u', '!'] };
const event: Message = {
  ...channel,
  2: ['data', 'j'],
  3: ['position', 's', '!'],
  4: ['message_id', 's', '!'],
  5: ['timestamp', 't', '!'],
  6: ['publisher', publisher],
};
const limits: Message = {
  1: ['message_size', 'u', '!'],
  2: ['messages_per_second', 'd', '!'],
  3: ['messages_burst', 'u'],
  4: ['bytes_per_second', 'u'],
  5: ['subscriptions', 'u', '!'],
  6: ['pending_rpcs', 'u', '!'],
};

const clientFrame: Message = {
  1: ['id', 's'],
  2: ['auth', token],
  3: ['refresh', token],
  4: ['subscribe', { ...channel, 2: ['position', 's', '?'], 3: ['no_echo', 'b'] }],
  5: ['unsubscribe', channel],
  6: ['publish', { ...channel, 2: ['data', 'j'], 3: ['message_id', 's'] }],
  7: ['signal', { ...channel, 2: ['name', 's'], 3: ['data', 'j'] }],
  8: ['rpc', { 1: ['method', 's'], 2: ['params', 'j'] }],
  9: ['history', page],
  10: ['presence', page],
  11: ['ping', {}],
};

const serverFrame: Message = {
  1: ['id', 's'],
  2: [
    'connection_established',
    {
      1: ['client_id', 's', '!'],
      2: ['user', 's', '!'],
      3: ['server_time', 't', '!'],
      4: ['heartbeat_ms', 'u', '!'],
      5: ['limits', limits],
      6: ['expires_at', 't'],
      7: ['node', 's'],
    },
  ],
  3: [
    'subscribed',
    { ...channel, 2: ['position', 's', '!'], 3: ['recovered', 'b', '!'], 4: ['replay', 'u', '!'], 5: ['members', 'u'] },
  ],
  4: ['unsubscribed', { ...channel, 2: ['code', 'u'], 3: ['reason', 's'] }],
  5: ['published', { 1: ['message_id', 's'], 2: ['position', 's'] }],
  6: ['event', event],
  7: [
    'history',
    { ...channel, 2: ['events', event, '*'], 3: ['position', 's', '!'], 4: ['complete', 'b', '!'], 5: ['recovered', 'b', '!'] },
  ],
  8: ['signal', { ...channel, 2: ['name', 's', '!'], 3: ['data', 'j'], 4: ['publisher', publisher] }],
  9: ['rpc_response', { 1: ['result', 'j'] }],
  10: ['pong', {}],
  11: ['refreshed', { 1: ['expires_at', 't', '!'] }],
  12: ['gap', channel],
  13: ['reconnect', { 1: ['after_ms', 'u', '!'], 2: ['reason', 's', '!'] }],
  14: [
    'presence',
    {
      ...channel,
      2: ['members', member, '*'],
      3: ['count', 'u', '!'],
      4: ['users', 'u', '!'],
      5: ['complete', 'b', '!'],
      6: ['count_only', 'b'],
    },
  ],
  15: ['join', change],
  16: ['leave', change],
  17: ['presence_gap', channel],
  18: ['error', { 1: ['code', 'u', '!'], 2: ['reason', 's', '!'], 3: ['message', 's'], 4: ['retry_after_ms', 'u'] }],
};

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder('utf-8', { fatal: true }) };

/** weft.v1.protobuf: the same frames in binary. `parse` and `stringify` are for the JSON text in `data` and the like. */
export function protobufCodec(
  parse: (text: string) => unknown = JSON.parse,
  stringify: (value: unknown) => string = JSON.stringify,
): Codec {
  return {
    subprotocol: 'weft.v1.protobuf',
    json: { parse, stringify },
    encode({ type, id, payload = {} }) {
      const { echo, ...rest } = payload;
      return write(clientFrame, { id, [type]: echo === false ? { ...rest, no_echo: true } : rest }, stringify);
    },
    decode(message) {
      if (typeof message === 'string') throw new TypeError('not a frame');
      const { id, ...body } = read(serverFrame, new DataView(message), parse);
      const [type] = Object.keys(body);
      if (type === undefined) throw new TypeError('not a frame');
      const frame: Frame = { type, payload: asInJson(type, body[type]) };
      if (id) frame.id = id;
      return frame;
    },
  };
}

// Where the spellings differ by more than a name.
function asInJson(type: string, { edge, count_only, ...payload }: Fields): Fields {
  if (edge !== undefined) payload[type === 'join' ? 'first' : 'last'] = edge;
  if (count_only) return { channel: payload.channel, count: payload.count };
  return payload;
}

function write(message: Message, fields: Fields, stringify: (value: unknown) => string): Uint8Array {
  const parts: ArrayLike<number>[] = [];
  for (const [number, [name, kind, presence]] of Object.entries(message) as unknown as [string, Field][]) {
    const value = fields[name];
    if (value === undefined || (!value && kind !== 'j' && presence !== '?')) continue;
    const whole = kind === 'u' || kind === 'b';
    parts.push(varint(Number(number) * 8 + (whole ? VARINT : BYTES)));
    if (whole) {
      parts.push(varint(Number(value)));
      continue;
    }
    const bytes = typeof kind === 'object' ? write(kind, value, stringify) : utf8.encoder.encode(kind === 'j' ? stringify(value) : value);
    parts.push(varint(bytes.length), bytes);
  }
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return [...bytes, value];
}

// Reading beyond the end throws, as DataView does.
function read(message: Message, view: DataView, parse: (text: string) => unknown): Fields {
  const fields: Fields = {};
  for (const [name, kind, presence] of Object.values(message)) {
    if (presence === '*') fields[name] = [];
    else if (presence === '!') fields[name] = kind === 's' ? '' : kind === 'b' ? false : kind === 't' ? time(0) : 0;
  }
  let at = 0;
  const number = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = view.getUint8(at++);
      value += (byte % 128) * scale;
      if (byte < 128) return value;
      if (scale > 2 ** 62) throw new TypeError('not a frame');
    }
  };
  while (at < view.byteLength) {
    const tag = number();
    const wire = tag % 8;
    const [name, kind, presence] = message[Math.floor(tag / 8)] ?? ['', undefined];
    let value: unknown;
    if (wire === VARINT) {
      const whole = number();
      value = kind === 'b' ? whole !== 0 : kind === 't' ? time(whole) : whole;
    } else if (wire === FIXED64) {
      value = view.getFloat64(at, true);
      at += 8;
    } else if (wire === BYTES) {
      const length = number();
      const part = new DataView(view.buffer, view.byteOffset + at, length);
      at += length;
      if (typeof kind === 'object') value = read(kind, part, parse);
      else if (kind) value = kind === 'j' ? parse(utf8.decoder.decode(part)) : utf8.decoder.decode(part);
    } else if (wire === FIXED32) {
      at += 4;
    } else {
      throw new TypeError('not a frame');
    }
    if (!kind) continue; // a field of a later version
    if (presence === '*') fields[name].push(value);
    else fields[name] = value;
  }
  return fields;
}

const time = (ms: number) => new Date(ms).toISOString();
