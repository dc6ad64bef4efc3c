// What tests against the two nodes share: tickets, clients, and a proxy that can cut a connection or keep it from speaking.
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import net, { type AddressInfo, type Socket } from 'node:net';
import path from 'node:path';

import { inject, onTestFinished } from 'vitest';
import WebSocket from 'ws';

import { WeftClient, type ClientEvents, type ClientOptions, type Emitter } from '../src/index.js';

declare module 'vitest' {
  export interface ProvidedContext {
    nodes: { urls: string[]; key: string; state: string };
  }
}

export const nodes = inject('nodes');
export const socketUrl = (node: number, path = 'ws') => new URL(path, nodes.urls[node]).href;

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const ALL = ['subscribe', 'publish', 'signal', 'presence', 'history'];
const KINDS = ['chat', 'news', 'short', 'plain', 'price', 'full', 'slow'];

/** A ticket for this user that grants everything there is, unless `claims` say otherwise. */
export function ticketFor(user: string, claims: object = {}): string {
  const key = Buffer.from(readFileSync(nodes.key, 'utf8').trim().replace(/^base64:/, ''), 'base64');
  const channels = Object.fromEntries(KINDS.map((kind) => [`${kind}:*`, ALL]));
  const all = { sub: user, exp: Math.floor(Date.now() / 1000) + 600, channels, rpc: ['weft.*'], ...claims };
  const input = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(all)}`;
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
}

/** A client that is disconnected when its test ends; it retries soon, and Node 20 lends it the WebSocket of ws. */
export function clientOf(user: string, url: string | string[] = socketUrl(0), options: ClientOptions = {}): WeftClient {
  const client = new WeftClient(url, {
    getTicket: () => ticketFor(user),
    WebSocket,
    backoff: { baseMs: 20, maxMs: 100 },
    ...options,
  });
  onTestFinished(() => client.disconnect());
  return client;
}

/** Where the nodes listen and take publications by HTTP. */
export const fallback = { sse: 'events', poll: 'poll', publish: 'publish' };

let counter = 0;
/** A channel that no other test uses. */
export const fresh = (kind = 'chat') => `${kind}:t${process.pid}-${counter++}`;

/** Resolves with the next event of this name. */
export function next<Events extends object, Name extends keyof Events>(from: Emitter<Events>, name: Name): Promise<Events[Name]> {
  return new Promise((resolve) => from.once(name, resolve));
}

/** Collects all events of this name; `until(n)` resolves once there are n. */
export function collect<Events extends object, Name extends keyof Events>(from: Emitter<Events>, name: Name) {
  const all: Events[Name][] = [];
  let waiting: (() => void)[] = [];
  from.on(name, (event) => {
    all.push(event);
    const woken = waiting;
    waiting = [];
    woken.forEach((wake) => wake());
  });
  return {
    all,
    async until(count: number) {
      while (all.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
      return all;
    },
  };
}

export const ended = (client: WeftClient): Promise<ClientEvents['disconnected']> => next(client, 'disconnected');

/** Why a client that is banned is not let in. A worker that hears of the ban later than another lets it in first, and then ends that. */
export async function refusalOf(client: WeftClient): Promise<unknown> {
  for (;;) {
    try {
      await client.connect();
    } catch (error) {
      return error;
    }
    if (client.state !== 'disconnected') await ended(client);
  }
}

/** Commands to the server, as operators give them. */
export async function api(command: string, body: object): Promise<void> {
  const response = await fetch(new URL(`weft/api/${command}`, nodes.urls[0]), { method: 'POST', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${command}: ${response.status}`);
}

/** The process of a node's nginx master. */
export const masterOf = (node: 'a' | 'b') => Number(readFileSync(path.join(nodes.state, node, 'nginx.pid'), 'utf8'));

/** Resolves when both workers of a node have their weftd. */
export async function linked(node: number): Promise<void> {
  for (;;) {
    try {
      const { link } = (await (await fetch(new URL('weft/status', nodes.urls[node]))).json()) as any;
      if (link.up >= 2) return;
    } catch {
      // A worker went that was to answer.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A TCP proxy on a port of its own. */
export class Proxy {
  readonly #server: net.Server;
  readonly #pairs = new Set<[Socket, Socket]>();
  /** Bytes from the server until the connection is cut, asked for each connection. */
  budget: () => number = () => Infinity;
  frozen = false;
  /** Cuts whoever sends this, such as a request to switch to WebSocket. */
  cutsOn: RegExp | undefined;
  /** Passes what is sent to the server, but no answer to it. */
  swallowsOn: RegExp | undefined;
  connections = 0;
  cuts = 0;

  private constructor(target: () => string) {
    this.#server = net.createServer((client) => {
      const { hostname, port } = new URL(target());
      const server = net.connect(Number(port), hostname);
      const pair: [Socket, Socket] = [client, server];
      let left = this.budget();
      this.connections += 1;
      this.#pairs.add(pair);
      let swallows = false;
      client.on('data', (data) => {
        if (this.frozen) return;
        const text = data.toString('latin1');
        if (this.cutsOn?.test(text)) return this.#cut(pair);
        if (text.includes(' HTTP/1.1\r\n')) swallows = this.swallowsOn?.test(text) ?? false;
        server.write(data);
      });
      server.on('data', (data) => {
        if (this.frozen || swallows) return;
        client.write(data.subarray(0, left));
        left -= data.length;
        if (left <= 0) this.#cut(pair);
      });
      for (const socket of pair) {
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#pairs.delete(pair);
          pair.forEach((one) => one.destroy());
        });
      }
    });
  }

  static async to(target: string | (() => string)): Promise<Proxy> {
    const proxy = new Proxy(typeof target === 'string' ? () => target : target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => proxy.close());
    return proxy;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ws`;
  }

  /** Cuts all connections that there are. */
  cut(): void {
    for (const pair of [...this.#pairs]) this.#cut(pair);
  }

  close(): void {
    this.#server.close();
    for (const pair of this.#pairs) pair.forEach((socket) => socket.destroy());
  }

  #cut(pair: [Socket, Socket]): void {
    if (!this.#pairs.delete(pair)) return;
    this.cuts += 1;
    // Half of the cuts are polite, so that what was written arrives; the others lose it.
    if (Math.random() < 0.5) pair[0].end();
    else pair[0].resetAndDestroy();
    pair[1].destroy();
  }
}
