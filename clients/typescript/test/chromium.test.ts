// The bundle in Chromium: pages on two nodes, cuts, several tabs, and a page that is looked at again.
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { launchChromium } from '../../../tests/browser/chromium.mjs';
import { clientOf, fresh, nodes, Proxy } from './support.js';

let browser: any, context: any;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
});

const pageBehind = (proxy: Proxy) => proxy.url.replace('ws:', 'http:').replace(/ws$/, '');

/** A page whose `client` is connected as `name` and subscribed to `channel`; `heard` collects, `count` counts what happened. */
async function visit(at: string, name: string, channel: string, options: object = {}) {
  context ??= await browser.newContext();
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error: Error) => page.faults.push(String(error)));
  await page.route('**/weft-client.js', (route: any) => route.fulfill({ path: path.resolve(__dirname, '../dist/weft-client.min.js') }));
  await page.goto(at);
  await page.addScriptTag({ type: 'module', content: "import * as weft from '/weft-client.js'; window.weft = weft;" });
  await page.waitForFunction(() => (window as any).weft);
  await page.evaluate(
    async ({ name, channel, options }: any) => {
      const at = window as any;
      at.client = new at.weft.WeftClient('/ws', {
        getTicket: async ({ signal }: any) => (await (await fetch(`/ticket?name=${name}`, { signal })).json()).ticket,
        backoff: { baseMs: 20, maxMs: 200 },
        ...options,
      });
      at.heard = [];
      at.count = { connecting: 0, gap: 0, subscribed: 0 };
      at.channel = at.client.channel(channel);
      at.channel.on('gap', () => at.count.gap++);
      at.channel.on('subscribed', () => at.count.subscribed++);
      at.client.on('connecting', () => at.count.connecting++);
      void at.client.connect();
      await at.channel.subscribe(({ data }: any) => at.heard.push(data));
    },
    { name, channel, options },
  );
  return page;
}

const heard = async (page: any, count: number) => {
  await page.waitForFunction((count: number) => (window as any).heard.length >= count, count, { timeout: 30_000 });
  return page.evaluate(() => (window as any).heard);
};

test('pages on two nodes, and two tabs of one user, hear each other', async () => {
  const channel = fresh();
  const [ada, bob, tab] = [await visit(nodes.urls[0]!, 'Ada', channel), await visit(nodes.urls[1]!, 'Bob', channel), await visit(nodes.urls[0]!, 'Ada', channel)];
  const expected = [];
  for (const by of [ada, bob, tab]) {
    // One after the other, since publications at two nodes have no order.
    expected.push({ n: expected.length });
    await by.evaluate((data: object) => (window as any).channel.publish(data), expected.at(-1));
    for (const page of [ada, bob, tab]) expect(await heard(page, expected.length)).toEqual(expected);
  }
  for (const page of [ada, bob, tab]) {
    expect(page.faults).toEqual([]);
    await page.close();
  }
});

test('a page whose connection is cut thirty times hears everything once and in order', async () => {
  const channel = fresh();
  const proxy = await Proxy.to(nodes.urls[0]!);
  const page = await visit(pageBehind(proxy), 'Ada', channel);
  const bob = clientOf('bob');
  await bob.connect();
  let sent = 0;
  for (let cut = 1; cut <= 30; cut++) {
    await bob.publish(channel, sent++);
    proxy.cut();
    await bob.publish(channel, sent++);
    await page.waitForFunction((n: number) => (window as any).count.subscribed > n, cut, { timeout: 30_000 });
  }
  expect(await heard(page, sent)).toEqual([...Array(sent).keys()]);
  expect(await page.evaluate(() => (window as any).count)).toEqual({ connecting: 30, gap: 0, subscribed: 31 });
  expect(page.faults).toEqual([]);
  await page.close();
});

test('a page that is looked at again makes sure of its connection', async () => {
  const proxy = await Proxy.to(nodes.urls[0]!);
  const page = await visit(pageBehind(proxy), 'Ada', fresh(), { heartbeatMs: 600_000, pongTimeoutMs: 200 });
  proxy.frozen = true;
  // What was under way when it froze may still come, and is a sign of life: so the page is looked at again and again.
  const looksAgain = () => document.dispatchEvent(new Event('visibilitychange')) && (window as any).count.connecting > 0;
  await page.waitForFunction(looksAgain, null, { timeout: 30_000, polling: 500 });
  await page.close();
});

test.each(['sse', 'poll'] as const)('a page that WebSocket does not get through to hears and publishes by %s, whatever is cut', async (way) => {
  const channel = fresh();
  const proxy = await Proxy.to(nodes.urls[0]!);
  proxy.cutsOn = /upgrade: websocket/i;
  if (way === 'poll') proxy.swallowsOn = /GET \/events/;
  const connectTimeoutMs = way === 'poll' ? 3_000 : 20_000; // a stream that is slow to come is no reason for polls
  const page = await visit(pageBehind(proxy), 'Ada', channel, { fallback: { sse: '/events', poll: '/poll', publish: '/publish' }, connectTimeoutMs });
  expect(await page.evaluate(() => (window as any).client.connection.transport)).toBe(way);
  const bob = clientOf('bob');
  await bob.connect();
  let sent = 0;
  for (let cut = 1; cut <= 10; cut++) {
    await bob.publish(channel, sent++);
    proxy.cut();
    await bob.publish(channel, sent++);
    await heard(page, sent);
    // Another channel is another request, while this one goes on.
    await page.evaluate((name: string) => (window as any).client.channel(name).subscribe(), fresh());
    await page.evaluate((data: number) => (window as any).channel.publish(data), sent++);
  }
  expect(await heard(page, sent)).toEqual([...Array(sent).keys()]);
  expect((await page.evaluate(() => (window as any).count)).gap).toBe(0);
  // Signals, rpc and the like are back as soon as WebSocket gets through.
  proxy.cutsOn = proxy.swallowsOn = undefined;
  await page.evaluate(() => ((window as any).client.disconnect(), (window as any).client.connect()));
  expect(await page.evaluate(() => (window as any).client.rpc('weft.echo', 5))).toBe(5);
  expect(page.faults).toEqual([]);
  await page.close();
});
