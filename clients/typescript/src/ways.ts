// The transports that a client may use, and the addresses of those that need others than the WebSocket's.
import { jsonCodec, type Codec } from './codec.js';
import { HttpConnection } from './http_connection.js';
import type { Wanted } from './listening.js';
import type { ClientOptions, TransportName } from './options.js';
import { RecentKeys } from './recent.js';
import { webSocketTransport, type Transport } from './transport.js';

/** A way to the server. */
export interface Way {
  readonly name: TransportName;
  readonly transport: Transport;
  readonly codec: Codec;
  /** Its address, by that of the WebSocket. Throws if one is malformed. */
  url(base: string): string;
}

export type WayOptions = Pick<ClientOptions, 'transports' | 'fallback' | 'transport' | 'WebSocket' | 'fetch' | 'codec'> & { connectTimeoutMs: number };

const OWN_IDS = 1_000;
const OWN_MS = 600_000; // as long as the server knows an id, by default

/** HTTP gives and takes frames as they are. */
const asItIs: Codec = { subprotocol: '', encode: (frame) => frame as never, decode: (frame) => frame as never };

/** The ways in the order in which they are tried, at least one. `wanted` as in HttpOptions. */
export function waysOf(options: WayOptions, wanted: () => Wanted[]): Way[] {
  const { fallback = {}, transport, WebSocket, codec = jsonCodec(), connectTimeoutMs: timeoutMs } = options;
  const own = new RecentKeys(OWN_IDS, OWN_MS);
  const common = { timeoutMs, wanted, own, json: codec.json ?? JSON, fetch: options.fetch ?? ((url, init) => fetch(url, init)) };
  const wayOf = (name: TransportName): Way => {
    if (name === 'websocket') return { name, codec, transport: transport ?? webSocketTransport(WebSocket), url: (base) => absolute(base, 'ws').href };
    const path = fallback[name];
    if (path === undefined) throw new TypeError(`the transport ${name} needs fallback.${name}`);
    return {
      name,
      codec: asItIs,
      url: (base) => base,
      transport: {
        open(base, _, listener, ticket = null) {
          const publish = fallback.publish === undefined ? undefined : relative(fallback.publish, base);
          return new HttpConnection({ ...common, publish, listen: relative(path, base), poll: name === 'poll' }, listener, ticket);
        },
      },
    };
  };
  const all: TransportName[] = ['websocket', 'sse', 'poll'];
  const names = options.transports ?? all.filter((name) => name === 'websocket' || fallback[name] !== undefined);
  // Where there is no WebSocket at all, such as in Node 20, the others do.
  const there = names.filter((name) => name !== 'websocket' || transport || WebSocket || globalThis.WebSocket);
  return (there[0] ? there : names).map(wayOf);
}

function absolute(url: string, scheme: 'ws' | 'http', base = (globalThis as { location?: Location }).location?.href): URL {
  const made = new URL(url, base);
  // WebSocket doesn't take http: everywhere yet, and fetch() never takes ws:.
  made.protocol = made.protocol.replace(/^(http|ws)/, scheme);
  return made;
}

const relative = (url: string, base: string) => absolute(url, 'http', absolute(base, 'http').href).href.replace('%7Bchannel%7D', '{channel}');
