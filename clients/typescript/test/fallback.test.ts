// Where WebSocket doesn't get through: which way is taken, what it can do, and how the client comes back.
import { execFileSync } from 'node:child_process';

import { describe, expect, test } from 'vitest';

import type { ClientOptions, TransportName } from '../src/index.js';
import { api, clientOf, collect, ended, fallback, fresh, linked, masterOf, next, nodes, Proxy, refusalOf, socketUrl, ticketFor } from './support.js';

const UPGRADE = /upgrade: websocket/i;
const only = (...transports: TransportName[]): ClientOptions => ({ transports, fallback });
const WAYS: TransportName[] = ['sse', 'poll'];

describe('the way that is taken', () => {
  test('is WebSocket where that works', async () => {
    const ann = clientOf('ann', socketUrl(0), { fallback });
    expect((await ann.connect()).transport).toBe('websocket');
  });

  test('is server-sent events where switching to WebSocket is cut off', async () => {
    const proxy = await Proxy.to(nodes.urls[0]!);
    proxy.cutsOn = UPGRADE;
    const ann = clientOf('ann', proxy.url, { fallback });
    const channel = ann.channel<number>(fresh('news'));
    const heard = collect(channel, 'event');
    void ann.connect();
    await channel.subscribe();
    expect(ann.connection).toMatchObject({ transport: 'sse', user: 'ann', node: 'demo-a' });
    expect(await channel.publish(1)).toMatchObject({ messageId: expect.any(String), position: expect.any(String) });
    expect((await heard.until(1))[0]).toMatchObject({ data: 1, publisher: { user: 'ann' } });
  });

  test('is server-sent events where WebSocket is never answered', async () => {
    const proxy = await Proxy.to(nodes.urls[0]!);
    proxy.swallowsOn = UPGRADE;
    const ann = clientOf('ann', proxy.url, { fallback, connectTimeoutMs: 2_000 });
    expect((await ann.connect()).transport).toBe('sse');
  });

  test('is polls where streams are held back, too', async () => {
    const proxy = await Proxy.to(nodes.urls[0]!);
    proxy.cutsOn = UPGRADE;
    proxy.swallowsOn = /GET \/events\?/;
    const ann = clientOf('ann', proxy.url, { fallback, connectTimeoutMs: 2_000 });
    const channel = ann.channel<number>(fresh('news'));
    const heard = collect(channel, 'event');
    void channel.subscribe();
    expect((await ann.connect()).transport).toBe('poll');
    await channel.publish(7);
    expect((await heard.until(1))[0]!.data).toBe(7);
  });

  test('is another where there is no WebSocket at all', async () => {
    const ann = clientOf('ann', socketUrl(0), { fallback, WebSocket: undefined });
    expect((await ann.connect()).transport).toBe(globalThis.WebSocket ? 'websocket' : 'sse');
  });

  test('needs an address', () => {
    expect(() => clientOf('ann', socketUrl(0), { transports: ['websocket', 'poll'], fallback: { sse: '/x' } })).toThrow('fallback.poll');
  });

  test.each(WAYS)('leads from %s back to WebSocket, and nothing is missed, repeated or out of order', async (way) => {
    const proxy = await Proxy.to(nodes.urls[0]!);
    proxy.cutsOn = UPGRADE;
    const ann = clientOf('ann', proxy.url, { ...only('websocket', way), upgradeAfterMs: 300 });
    const channel = ann.channel<number>(fresh('news'));
    const heard = collect(channel, 'event');
    const states = collect(ann, 'state');
    const ways = collect(ann, 'connected');
    void ann.connect();
    await channel.subscribe();
    const bob = clientOf('bob');
    void bob.connect();
    let sent = 0;
    while (ways.all.at(-1)!.transport !== 'websocket') {
      if (sent === 100) proxy.cutsOn = undefined;
      await bob.publish(channel.name, sent++);
    }
    for (let more = 0; more < 20; more++) await bob.publish(channel.name, sent++);
    await heard.until(sent);
    expect(heard.all.map(({ data }) => data)).toEqual([...Array(sent).keys()]);
    expect(ways.all.map(({ transport }) => transport)).toEqual([way, 'websocket']);
    expect(states.all.map(({ current }) => current)).toEqual(['connecting', 'connected']);
    expect(await ann.rpc('weft.echo', 1)).toBe(1);
  });
});

describe.each(WAYS)('%s', (way) => {
  test('has no channel at first, and then some, and others', async () => {
    const ann = clientOf('ann', socketUrl(0), only(way));
    const bob = clientOf('bob');
    await Promise.all([ann.connect(), bob.connect()]);
    const channels = Array.from({ length: 4 }, () => ann.channel<number>(fresh('news')));
    const heard = channels.map((channel) => collect(channel, 'event'));
    await Promise.all(channels.slice(0, 2).map((channel) => channel.subscribe()));
    let stop = false;
    let sent = 0;
    // All the time something comes for the first, while others come and go.
    const running = (async () => {
      while (!stop) await bob.publish(channels[0]!.name, sent++);
    })();
    for (let i = 0; i < 5; i++) {
      await Promise.all(channels.slice(2).map((channel) => channel.subscribe()));
      for (const [n, channel] of channels.slice(1).entries()) {
        await bob.publish(channel.name, i);
        await heard[n + 1]!.until(i + 1);
      }
      await Promise.all(channels.slice(2).map((channel) => channel.unsubscribe()));
    }
    stop = true;
    await running;
    await heard[0]!.until(sent);
    expect(heard[0]!.all.map(({ data }) => data)).toEqual([...Array(sent).keys()]);
    for (const one of heard.slice(1)) expect(one.all.map(({ data }) => data)).toEqual([0, 1, 2, 3, 4]);
  });

  test('tells which channel is refused, and has the others', async () => {
    const ann = clientOf('ann', socketUrl(0), only(way));
    const names = [fresh('news'), 'nowhere:1', fresh('news'), 'chat:not a name', fresh('news')];
    const subscribed = names.map((name) => ann.channel(name).subscribe());
    await ann.connect();
    const results = await Promise.allSettled(subscribed);
    expect(results.map((one) => (one.status === 'fulfilled' ? 0 : one.reason.code))).toEqual([0, 4007, 0, 4006, 0]);
    const end = next(ann.channel(names[2]!), 'event');
    await ann.publish(names[2]!, 'x');
    expect((await end).data).toBe('x');
    await expect(ann.publish('nowhere:1', 1)).rejects.toMatchObject({ code: 4007 });
  });

  test('refuses what only a WebSocket can do, and says so', async () => {
    const ann = clientOf('ann', socketUrl(0), { transports: [way], fallback: { ...fallback, publish: undefined } });
    await ann.connect();
    const name = fresh('news');
    for (const call of [() => ann.rpc('weft.echo'), () => ann.history(name), () => ann.presence(name), () => ann.publish(name, 1)]) {
      await expect(call()).rejects.toMatchObject({ code: 0, reason: 'unsupported', message: expect.stringContaining(`the transport in use is ${way}`) });
    }
    expect(ann.signal(name, 'typing')).toBe(false);
  });

  test('keeps what one publishes oneself from coming back, if that is wished', async () => {
    const ann = clientOf('ann', socketUrl(0), only(way));
    const bob = clientOf('bob');
    await Promise.all([ann.connect(), bob.connect()]);
    const channel = ann.channel<string>(fresh('news'), { echo: false });
    const heard = collect(channel, 'event');
    await channel.subscribe();
    const { position } = await channel.publish('mine');
    await bob.publish(channel.name, "bob's");
    expect((await heard.until(1))[0]!.data).toBe("bob's");
    expect(channel.position).not.toBe(position);
    expect(heard.all.length).toBe(1);
  });

  test('publications keep their order, and are not repeated though an answer is lost', async () => {
    const proxy = await Proxy.to(nodes.urls[0]!);
    const ann = clientOf('ann', proxy.url, only(way));
    const bob = clientOf('bob');
    const channel = bob.channel<number>(fresh('news'));
    const heard = collect(channel, 'event');
    await Promise.all([ann.connect(), bob.connect()]);
    await channel.subscribe();
    const answers = [];
    for (let n = 0; n < 300; n++) {
      answers.push(ann.publish(channel.name, n));
      if (n % 30 === 0) {
        await answers.at(-1);
        setImmediate(() => proxy.cut());
      }
    }
    await Promise.all(answers);
    await heard.until(300);
    expect(heard.all.map(({ data }) => data)).toEqual([...Array(300).keys()]);
    expect(proxy.cuts).toBeGreaterThan(5);
  });

  test('comes back after a cut with a new ticket, and ends when none is taken', async () => {
    let tickets = 0;
    const proxy = await Proxy.to(nodes.urls[0]!);
    const forged = `${ticketFor('ann').slice(0, -4)}AAAA`;
    const ann = clientOf('ann', proxy.url, { ...only(way), getTicket: () => (tickets++ < 3 ? ticketFor('ann') : forged) });
    const channel = ann.channel(fresh('news'));
    void ann.connect();
    await channel.subscribe();
    const again = collect(channel, 'subscribed');
    // Cuts until it is noticed: between two polls nobody does.
    const cut = async () => {
      const lost = collect(ann, 'connecting');
      for (; lost.all.length === 0; await new Promise((resolve) => setTimeout(resolve, 20))) proxy.cut();
    };
    await cut();
    expect((await again.until(1))[0]).toMatchObject({ resumed: true, recovered: true });
    const end = ended(ann);
    tickets = 3;
    await cut();
    expect(await end).toMatchObject({ code: 4002, error: { reason: 'authentication_failed' } });
  });

  test('a ticket that ends is replaced, and nothing is noticed', async () => {
    const soon = () => Math.floor(Date.now() / 1000) + 3;
    const asked: string[] = [];
    const ann = clientOf('ann', socketUrl(0), {
      ...only(way),
      getTicket: ({ reason }) => (asked.push(reason), ticketFor('ann', asked.length === 1 ? { exp: soon() } : {})),
    });
    const channel = ann.channel<number>(fresh('news'));
    const heard = collect(channel, 'event');
    void ann.connect();
    await channel.subscribe();
    const bob = clientOf('bob');
    await bob.connect();
    const end = Date.now() + 5_000;
    let sent = 0;
    for (; Date.now() < end; sent++) {
      await bob.publish(channel.name, sent);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await heard.until(sent);
    expect(asked.length).toBeGreaterThan(1);
    expect(heard.all.map(({ data }) => data)).toEqual([...Array(sent).keys()]);
    expect(await ann.refresh('news')).toBeDefined();
    await channel.publish(-1);
    expect((await heard.until(sent + 1)).at(-1)!.data).toBe(-1);
  });

  test('who publishes with a ticket that has ended gets another', async () => {
    const asked: string[] = [];
    const ann = clientOf('ann', socketUrl(0), {
      ...only(way),
      getTicket: ({ reason }) => (asked.push(reason), asked.length === 1 ? ticketFor('ann', { exp: Math.floor(Date.now() / 1000) + 6 }) : ticketFor('ann')),
    });
    await ann.connect(); // without a channel nothing else asks for a ticket
    await new Promise((resolve) => setTimeout(resolve, 7_500));
    expect(await ann.publish(fresh('news'), 1)).toMatchObject({ position: expect.any(String) });
    expect(asked).toEqual(['connect', 'refresh']);
  });

  test('who is banned stays away', async () => {
    const eve = clientOf(`eve-${way}`, socketUrl(0), only(way));
    const channel = eve.channel(fresh('news'));
    void eve.connect();
    await channel.subscribe();
    const end = ended(eve);
    await api('ban', { user: `eve-${way}`, seconds: 600 });
    expect(await end).toMatchObject({ code: 4009 });
    expect(await refusalOf(eve)).toMatchObject({ code: 4009 });
    await api('unban', { user: `eve-${way}` });
  });

  test('a node that goes is left in time', async () => {
    const ann = clientOf('ann', [socketUrl(0), socketUrl(1)], only(way));
    const bob = clientOf('bob', socketUrl(1));
    const channel = ann.channel<number>(fresh('news'));
    const heard = collect(channel, 'event');
    void ann.connect();
    await Promise.all([channel.subscribe(), bob.connect()]);
    let moved = false;
    const asked = next(ann, 'reconnect');
    void next(ann, 'connected').then(() => (moved = true));
    let sent = 0;
    await new Promise((resolve) => setTimeout(resolve, 500)); // until a poll is held
    process.kill(masterOf('a'), 'SIGHUP');
    if (way === 'poll') await asked; // who is answered all the time is never asked to go
    while (!moved) await bob.publish(channel.name, sent++);
    for (let more = 0; more < 20; more++) await bob.publish(channel.name, sent++);
    expect((await asked).reason).toBe('shutting_down');
    await heard.until(sent);
    expect(heard.all.map(({ data }) => data)).toEqual([...Array(sent).keys()]);
  });

  test('one that is silent without an end is given up and replaced', async () => {
    const proxy = await Proxy.to(nodes.urls[0]!);
    const ann = clientOf('ann', proxy.url, { ...only(way), heartbeatMs: 300, pongTimeoutMs: 1_000 });
    const channel = ann.channel<number>(fresh('news'));
    void ann.connect();
    await channel.subscribe();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(ann.state).toBe('connected'); // each silence was asked about, and answered
    proxy.frozen = true;
    expect(await next(ann, 'connecting')).toMatchObject({ code: 1006 });
    proxy.cut(); // what waits in a frozen proxy's connections is lost
    proxy.frozen = false;
    const event = next(channel, 'event');
    await ann.publish(channel.name, 5);
    expect((await event).data).toBe(5);
  });
});

test('without history a stream that takes over tells of nothing missed', async () => {
  const ann = clientOf('ann', socketUrl(0), only('sse'));
  const bob = clientOf('bob');
  const channel = ann.channel<number>(fresh('plain'));
  const heard = collect(channel, 'event');
  const gaps = collect(channel, 'gap');
  void ann.connect();
  await Promise.all([channel.subscribe(), bob.connect()]);
  let stop = false;
  let sent = 0;
  const running = (async () => {
    while (!stop) await bob.publish(channel.name, sent++);
  })();
  for (let i = 0; i < 10; i++) await ann.channel(fresh('plain')).subscribe();
  stop = true;
  await running;
  await heard.until(sent);
  expect(heard.all.map(({ data }) => data)).toEqual([...Array(sent).keys()]);
  expect(gaps.all).toEqual([]);
});

test('workers that are killed cost a reconnect', async () => {
  const ann = clientOf('ann', socketUrl(0), only('sse'));
  const channel = ann.channel(fresh('news'));
  const heard = collect(channel, 'event');
  void ann.connect();
  await channel.subscribe();
  const lost = next(ann, 'connecting');
  const workers = execFileSync('ps', ['-o', 'pid=', '--ppid', String(masterOf('a'))], { encoding: 'utf8' });
  for (const pid of workers.trim().split(/\s+/)) process.kill(Number(pid), 'SIGKILL');
  await lost;
  await channel.publish('meanwhile');
  expect((await heard.until(1))[0]!.data).toBe('meanwhile');
  await linked(0); // those who come now are told the node's name again
});
