// Channels of two real nodes: events, resume, gaps, presence, history, publications; and calls.
import { describe, expect, test } from 'vitest';

import { protobufCodec } from '../src/index.js';
import { api, clientOf, collect, fresh, next, nodes, Proxy, socketUrl, ticketFor } from './support.js';

describe('a channel', () => {
  test('gives what is published, once and in order, on both nodes', async () => {
    const [ann, bob] = [clientOf('ann'), clientOf('bob', socketUrl(1))];
    const name = fresh();
    const heard = collect(bob.channel(name), 'event');
    await Promise.all([ann.connect(), bob.connect()]);
    const subscribed = await bob.channel(name).subscribe();
    expect(subscribed).toMatchObject({ channel: name, recovered: false, resumed: false, replay: 0 });
    const sent = await Promise.all([...Array(300).keys()].map((i) => ann.publish(name, { i })));
    const events = await heard.until(300);
    expect(events.map(({ data }) => data)).toEqual([...Array(300).keys()].map((i) => ({ i })));
    expect(events.map(({ messageId }) => messageId)).toEqual(sent.map(({ messageId }) => messageId));
    expect(events[0]).toMatchObject({ channel: name, publisher: { user: 'ann', clientId: ann.connection!.clientId } });
    expect(Date.parse(events[0]!.timestamp)).toBeGreaterThan(0);
    expect(bob.channel(name).position).toBe(events.at(-1)!.position);
  });

  test('what is published before the connection, and while subscribing, comes back', async () => {
    const ann = clientOf('ann');
    const channel = ann.channel(fresh('plain'));
    const heard = collect(channel, 'event');
    const sent = [channel.publish(1), channel.publish(2)];
    void channel.subscribe();
    void ann.connect();
    sent.push(channel.publish(3));
    await Promise.all(sent);
    expect((await heard.until(3)).map(({ data }) => data)).toEqual([1, 2, 3]);
  });

  test("a connection without echo doesn't get its own", async () => {
    const [ann, bob] = [clientOf('ann'), clientOf('bob')];
    const name = fresh();
    await Promise.all([ann.connect(), bob.connect()]);
    const channel = ann.channel(name, { echo: false });
    const heard = collect(channel, 'event');
    await channel.subscribe();
    await channel.publish('mine');
    await bob.publish(name, 'theirs');
    expect((await heard.until(1))[0]!.data).toBe('theirs');
  });

  test('what is missed comes after a reconnect, wherever', async () => {
    let target = 0;
    const proxy = await Proxy.to(() => nodes.urls[target]!);
    const [ann, bob] = [clientOf('ann', proxy.url), clientOf('bob')];
    const channel = ann.channel(fresh());
    const heard = collect(channel, 'event');
    await Promise.all([ann.connect(), bob.connect()]);
    await channel.subscribe();
    for (let round = 0; round < 4; round++) {
      await bob.publish(channel.name, `before ${round}`);
      await heard.until(2 * round + 1);
      target = 1 - target;
      const lost = next(ann, 'connecting');
      const back = next(channel, 'subscribed');
      proxy.cut();
      await lost;
      expect(channel.state).toBe('subscribing');
      await bob.publish(channel.name, `missed ${round}`);
      expect(await back).toMatchObject({ recovered: true, resumed: true });
      await heard.until(2 * round + 2);
    }
    expect(heard.all.map(({ data }) => data)).toEqual([0, 1, 2, 3].flatMap((n) => [`before ${n}`, `missed ${n}`]));
  });

  test('a position that was kept is where a new client goes on', async () => {
    const [ann, bob] = [clientOf('ann'), clientOf('bob')];
    const name = fresh();
    await Promise.all([ann.connect(), bob.connect()]);
    const { position } = await ann.publish(name, 1);
    await ann.publish(name, 2);
    const channel = bob.channel(name, { position });
    const heard = collect(channel, 'event');
    expect(await channel.subscribe()).toMatchObject({ recovered: true, replay: 1 });
    expect((await heard.until(1))[0]!.data).toBe(2);
  });

  test('what can not be had any more is told as a gap', async () => {
    const proxy = await Proxy.to(nodes.urls[0]!);
    const [ann, bob] = [clientOf('ann', proxy.url), clientOf('bob')];
    const channel = ann.channel(fresh('short'));
    const heard = collect(channel, 'event');
    const gaps = collect(channel, 'gap');
    await Promise.all([ann.connect(), bob.connect()]);
    await channel.subscribe();
    const lost = next(ann, 'connecting');
    proxy.frozen = true; // also the next connection
    proxy.cut();
    await lost;
    for (const data of [1, 2, 3, 4]) await bob.publish(channel.name, data);
    const back = next(channel, 'subscribed');
    proxy.frozen = false;
    proxy.cut();
    expect(await back).toMatchObject({ recovered: false, resumed: true, replay: 2 });
    expect((await heard.until(2)).map(({ data }) => data)).toEqual([3, 4]);
    expect(gaps.all).toEqual([{ channel: channel.name }]);
  });

  test('the latest value comes first', async () => {
    const ann = clientOf('ann');
    const channel = ann.channel(fresh('price'));
    const heard = collect(channel, 'event');
    await ann.connect();
    await channel.publish(7);
    expect(await channel.subscribe()).toMatchObject({ replay: 1 });
    expect((await heard.until(1))[0]!.data).toBe(7);
  });

  test('one that is refused is not tried again', async () => {
    const ann = clientOf('ann', socketUrl(0), { getTicket: () => ticketFor('ann', { channels: { 'chat:mine': ['subscribe'] } }) });
    await ann.connect();
    for (const [name, code] of [['chat:other', 4010], ['nowhere:1', 4007]] as const) {
      const channel = ann.channel(name);
      const errors = collect(channel, 'error');
      const end = next(channel, 'unsubscribed');
      await expect(channel.subscribe()).rejects.toMatchObject({ code });
      expect(await end).toMatchObject({ code });
      expect(channel.state).toBe('unsubscribed');
      expect(errors.all.length).toBe(1);
    }
    await expect(ann.publish('chat:mine', 1)).rejects.toMatchObject({ code: 4010 });
  });

  test('one that is full is tried again until there is room', async () => {
    const [ann, bob] = [clientOf('ann'), clientOf('bob')];
    const name = fresh('full');
    await Promise.all([ann.connect(), bob.connect()]);
    await ann.channel(name).subscribe();
    const error = next(bob.channel(name), 'error');
    const joined = bob.channel(name).subscribe();
    expect(await error).toMatchObject({ code: 4008, reason: 'channel_full' });
    await ann.channel(name).unsubscribe();
    expect(await joined).toMatchObject({ channel: name });
  });

  test('one that the server takes us out of stays left until we subscribe again', async () => {
    const eve = clientOf('eve-2');
    const channel = eve.channel(fresh());
    await eve.connect();
    await channel.subscribe();
    const end = next(channel, 'unsubscribed');
    await api('unsubscribe', { user: 'eve-2', channel: channel.name });
    expect(await end).toMatchObject({ channel: channel.name, code: 4013 });
    expect(channel.state).toBe('unsubscribed');
    const headers = { 'Content-Type': 'application/json' };
    await fetch(new URL(`publish/${channel.name}`, nodes.urls[0]), { method: 'POST', body: '"missed"', headers });
    const heard = collect(channel, 'event');
    expect(await channel.subscribe()).toMatchObject({ recovered: true });
    expect((await heard.until(1))[0]).toMatchObject({ data: 'missed' });
    expect(heard.all[0]!.publisher).toBeUndefined();
  });

  test('unsubscribing ends it; subscribing again begins afresh', async () => {
    const ann = clientOf('ann');
    const channel = ann.channel(fresh());
    const heard = collect(channel, 'event');
    await ann.connect();
    await channel.subscribe();
    await channel.unsubscribe();
    await channel.publish('not heard');
    expect(await channel.subscribe()).toMatchObject({ resumed: false });
    await channel.publish('heard');
    expect((await heard.until(1))[0]!.data).toBe('heard');
    await ann.remove(channel.name);
    expect(ann.channel(channel.name)).not.toBe(channel);
  });

  test('signals come to who is there', async () => {
    const [ann, bob] = [clientOf('ann'), clientOf('bob', socketUrl(1))];
    const name = fresh();
    expect(ann.signal(name, 'typing')).toBe(false);
    await Promise.all([ann.connect(), bob.connect()]);
    await bob.channel(name).subscribe();
    const signal = next(bob.channel(name), 'signal');
    expect(ann.channel(name).signal('typing', { on_now: true })).toBe(true);
    expect(await signal).toMatchObject({ channel: name, name: 'typing', data: { on_now: true }, publisher: { user: 'ann' } });
  });

  test('presence is asked for and told', async () => {
    const info = { full_name: 'Bob' };
    const ann = clientOf('ann');
    const bob = clientOf('bob', socketUrl(1), { getTicket: () => ticketFor('bob', { info }) });
    const channel = ann.channel(fresh());
    await Promise.all([ann.connect(), bob.connect()]);
    await channel.presence(); // a node that has just started tells of nobody before it can answer that
    const joins = collect(channel, 'join');
    expect(await channel.subscribe()).toMatchObject({ members: 0 });
    await joins.until(1);
    const leave = next(channel, 'leave');
    await bob.channel(channel.name).subscribe();
    expect((await joins.until(2))[1]).toMatchObject({ first: true, count: 2, member: { user: 'bob', info, clientId: bob.connection!.clientId } });
    const page = await channel.presence();
    expect(page).toMatchObject({ count: 2, users: 2, complete: true });
    expect(page.members!.map(({ user }) => user).sort()).toEqual(['ann', 'bob']);
    const first = await channel.presence({ limit: 1 });
    expect(first).toMatchObject({ complete: false });
    const second = await channel.presence({ limit: 1, after: first.members![0]!.id });
    expect([...first.members!, ...second.members!].map(({ id }) => id).sort()).toEqual(page.members!.map(({ id }) => id).sort());
    bob.disconnect();
    expect(await leave).toMatchObject({ last: true, count: 1, member: { user: 'bob' } });
  });

  test('history comes in pages', async () => {
    const ann = clientOf('ann');
    const channel = ann.channel<number>(fresh());
    await ann.connect();
    for (const data of [1, 2, 3]) await channel.publish(data);
    const first = await channel.history({ limit: 2 });
    expect(first).toMatchObject({ complete: false });
    const second = await channel.history({ after: first.position });
    expect(second).toMatchObject({ complete: true, recovered: true });
    const events = [...first.events, ...second.events];
    expect(events.map(({ data }) => data)).toEqual([1, 2, 3]);
    expect(events[0]).toMatchObject({ channel: channel.name, publisher: { user: 'ann' }, messageId: expect.any(String) });
  });
});

describe('publishing', () => {
  test('is delivered once under one message id', async () => {
    const ann = clientOf('ann');
    const channel = ann.channel(fresh());
    const heard = collect(channel, 'event');
    await ann.connect();
    await channel.subscribe();
    const first = await channel.publish(1, { messageId: 'm-1' });
    expect(await channel.publish(1, { messageId: 'm-1' })).toEqual(first);
    await channel.publish(2);
    expect((await heard.until(2)).map(({ data }) => data)).toEqual([1, 2]);
  });

  test('beyond what a channel takes goes on as soon as it may, in order', async () => {
    const ann = clientOf('ann');
    const channel = ann.channel(fresh('slow'));
    const heard = collect(channel, 'event');
    await ann.connect();
    await channel.subscribe();
    await channel.publish(0);
    // The server refuses these for a while.
    await Promise.all([channel.publish(1), channel.publish(2).then(() => channel.publish(3))]);
    expect((await heard.until(4)).map(({ data }) => data).sort()).toEqual([0, 1, 2, 3]);
  });

  test('more than a connection may send at once is paced, and none is refused', async () => {
    const status = async () => ((await (await fetch(new URL('weft/status', nodes.urls[0]))).json()) as any).refused.messages;
    const before = await status();
    const ann = clientOf('ann');
    const channel = ann.channel(fresh());
    await ann.connect();
    await Promise.all([...Array(600).keys()].map((i) => channel.publish(i)));
    expect(await status()).toBe(before);
  });
});

test('a client that speaks Protocol Buffers is heard by one that speaks JSON, and hears it', async () => {
  const [ann, bob] = [clientOf('ann', socketUrl(0), { codec: protobufCodec() }), clientOf('bob', socketUrl(1))];
  const name = fresh();
  const channels = [ann.channel(name), bob.channel(name)];
  const heard = channels.map((channel) => collect(channel, 'event'));
  const [info] = await Promise.all([ann.connect(), bob.connect()]);
  expect(info).toMatchObject({ user: 'ann', node: 'demo-a', limits: { messagesPerSecond: 500 } });
  expect(Date.parse(info.expiresAt!)).toBeGreaterThan(Date.now());
  for (const channel of channels) await channel.subscribe();
  const data = { text: 'häßlich 👋', n: [1, 2.5, null] };
  await ann.publish(name, data);
  for (const { until } of heard) await until(1);
  await bob.publish(name, data);
  for (const { until } of heard) expect((await until(2)).map((event) => event.data)).toEqual([data, data]);
  // A position is one node's view of where it stands.
  const [mine, theirs] = heard.map(({ all }) => all.map(({ position, ...rest }) => rest));
  expect(mine).toEqual(theirs);
  const signal = next(channels[1]!, 'signal');
  expect(ann.signal(name, 'typing', { on: true })).toBe(true);
  expect(await signal).toMatchObject({ name: 'typing', data: { on: true }, publisher: { user: 'ann' } });
  await expect.poll(async () => (await ann.presence(name)).count, { timeout: 30_000 }).toBe(2);
  expect((await ann.presence(name)).members!.map(({ user }) => user).sort()).toEqual(['ann', 'bob']);
  const page = await ann.history(name);
  expect(page).toMatchObject({ channel: name, complete: true, recovered: true });
  expect(page.events.map(({ position, ...rest }) => rest)).toEqual(mine);
  expect(await ann.rpc('weft.echo', data)).toEqual(data);
  await expect(ann.rpc('weft.nothing')).rejects.toMatchObject({ code: 4018, reason: 'method_not_found' });
});

describe('calls', () => {
  test('are answered, refused, given up and aborted', async () => {
    const proxy = await Proxy.to(nodes.urls[0]!);
    const ann = clientOf('ann', proxy.url);
    const early = ann.rpc('weft.echo', { a_b: [1] });
    await ann.connect();
    expect(await early).toEqual({ a_b: [1] });
    await expect(ann.rpc('weft.nothing')).rejects.toMatchObject({ code: 4018, reason: 'method_not_found' });
    const abort = new AbortController();
    const aborted = ann.rpc('weft.echo', 1, { signal: abort.signal });
    abort.abort(new Error('not wanted any more'));
    await expect(aborted).rejects.toThrow('not wanted any more');
    await expect(ann.rpc('weft.echo', 1, { signal: abort.signal })).rejects.toThrow('not wanted any more');
    proxy.frozen = true;
    await expect(ann.rpc('weft.echo', 1, { timeoutMs: 50 })).rejects.toMatchObject({ code: 0, reason: 'timeout' });
    const unanswered = ann.rpc('weft.echo', 1);
    proxy.cut();
    await expect(unanswered).rejects.toMatchObject({ code: 0, reason: 'connection_lost' });
  });
});

