// What commands and channels do when answers, events and connections come as they seldom do.
import { describe, expect, test } from 'vitest';

import { fakeClient } from '../fake.js';
import { collect } from '../support.js';

describe('what waits', () => {
  test('is bounded, and given up in time', async () => {
    const fake = fakeClient({ maxQueue: 3, publishTimeoutMs: 5_000 });
    const waiting = [1, 2, 3].map((n) => fake.client.publish('c:1', n));
    await expect(fake.client.publish('c:1', 4)).rejects.toMatchObject({ code: 0, reason: 'queue_full' });
    const results = Promise.allSettled(waiting);
    await fake.pass(5_000);
    for (const result of await results) expect(result).toMatchObject({ status: 'rejected', reason: { reason: 'timeout' } });
    const connection = await fake.connect();
    expect(connection.take('publish')).toEqual([]);
  });

  test('what is longer than the server takes is refused here, as it would end the connection', async () => {
    const fake = fakeClient();
    const connection = await fake.connect({ limits: { message_size: 200 } });
    await expect(fake.client.publish('c:1', 'ä'.repeat(100))).rejects.toMatchObject({ code: 4005 });
    expect(fake.client.signal('c:1', 'x', 'ä'.repeat(100))).toBe(false);
    expect(connection.sent).toEqual([]);
    void fake.client.publish('c:1', 'ä'.repeat(30)).catch(() => {});
    expect(connection.take('publish').length).toBe(1);
  });

  test('unanswered publications go again under their ids, in order, before newer ones', async () => {
    const fake = fakeClient();
    const first = await fake.connect();
    const answers = [1, 2].map((n) => fake.client.publish('c:1', n));
    const sent = first.take('publish').map(({ payload }) => payload);
    first.end(1006);
    answers.push(fake.client.publish('c:1', 3));
    await fake.pass(1_000);
    fake.last.establish();
    const again = fake.last.take('publish');
    expect(again.map(({ payload }) => payload.data)).toEqual([1, 2, 3]);
    expect(again.slice(0, 2).map(({ payload }) => payload)).toEqual(sent);
    for (const { id, payload } of again) fake.last.say('published', { message_id: payload.message_id, position: `p${payload.data}` }, id);
    expect((await Promise.all(answers)).map(({ position }) => position)).toEqual(['p1', 'p2', 'p3']);
  });

  test.each([4004, 4017])('a publication refused with %i goes again after the time told, and holds those behind it', async (code) => {
    const fake = fakeClient();
    const connection = await fake.connect();
    const answer = fake.client.publish('c:1', 1, { messageId: 'm' });
    connection.say('error', { code, reason: 'x', retry_after_ms: 2_000 }, connection.take('publish')[0]!.id);
    const behind = fake.client.publish('c:1', 2);
    const aside = fake.client.publish('c:2', 3);
    expect(connection.take('publish').map(({ payload }) => payload.data)).toEqual([3]);
    await fake.pass(2_500);
    const again = connection.take('publish');
    expect(again.map(({ payload }) => payload.data)).toEqual([1, 2]);
    expect(again[0]!.payload.message_id).toBe('m');
    again.forEach(({ id }) => connection.say('published', { message_id: 'm', position: 'p' }, id));
    await Promise.all([answer, behind]);
    fake.client.disconnect();
    await expect(aside).rejects.toMatchObject({ reason: 'disconnected' });
  });

  test('one that is refused until its time is over is told why', async () => {
    const fake = fakeClient({ publishTimeoutMs: 3_000 });
    const connection = await fake.connect();
    const answer = fake.client.publish('c:1', 1);
    connection.say('error', { code: 4017, reason: 'unavailable', retry_after_ms: 60_000 }, connection.take('publish')[0]!.id);
    const failed = expect(answer).rejects.toMatchObject({ code: 4017 });
    await fake.pass(3_000);
    await failed;
  });

  test('publications of a channel wait for its subscription', async () => {
    const fake = fakeClient();
    const channel = fake.client.channel('c:1');
    const answer = channel.publish(1);
    void channel.subscribe();
    const connection = await fake.connect();
    expect(connection.sent.map(({ type }) => type)).toEqual(['subscribe']);
    connection.subscribed(connection.take('subscribe')[0]!);
    const [publish] = connection.take('publish');
    connection.say('published', { message_id: 'm', position: 'p' }, publish!.id);
    expect(await answer).toEqual({ messageId: 'm', position: 'p' });
  });

  test('reads are repeated on the next connection, calls are not', async () => {
    const fake = fakeClient();
    await fake.connect();
    const page = fake.client.history('c:1');
    const call = fake.client.rpc('m');
    fake.last.end(1006);
    await expect(call).rejects.toMatchObject({ reason: 'connection_lost' });
    await fake.pass(1_000);
    fake.last.establish();
    expect(fake.last.sent.map(({ type }) => type)).toEqual(['history']);
    fake.last.say('history', { channel: 'c:1', events: [], position: 'p', complete: true, recovered: true }, fake.last.sent[0]!.id);
    expect(await page).toMatchObject({ complete: true });
  });
});

test('a signal that would be late, or too many, is not sent', async () => {
  const fake = fakeClient();
  const limits = { message_size: 1_000, messages_per_second: 10, messages_burst: 10 };
  const connection = await fake.connect({ limits });
  connection.buffered = 65_537;
  expect(fake.client.signal('c:1', 'x')).toBe(false);
  connection.buffered = 0;
  const sent = [...Array(20)].map(() => fake.client.signal('c:1', 'x')).filter(Boolean).length;
  expect(sent).toBe(9);
  expect(connection.take('signal').length).toBe(9);
  await fake.pass(100);
  expect(fake.client.signal('c:1', 'x')).toBe(true);
});

describe('a channel', () => {
  test('gives an event once, although it comes again', async () => {
    const fake = fakeClient();
    const connection = await fake.connect();
    const channel = fake.client.channel('c:1');
    const heard = collect(channel, 'event');
    void channel.subscribe();
    connection.subscribed(connection.take('subscribe')[0]!);
    const by = (user: string, client_id: string) => ({ publisher: { user, client_id }, message_id: 'same' });
    connection.event('c:1', 1, by('ann', '1'));
    connection.event('c:1', 2, by('ann', '2')); // the same, by way of another node
    connection.event('c:1', 3, by('bob', '3')); // another user's
    connection.event('c:1', 4, by('', '4'));
    connection.event('c:1', 5, by('', '5')); // another connection's without a user
    connection.event('c:1', 6, { message_id: 'same' }); // a back end's
    expect(heard.all.map(({ data }) => data)).toEqual([1, 3, 4, 5, 6]);
    connection.event('c:1', 7, by('ann', '1'));
    expect(channel.position).toBe('p7');
    await fake.pass(600_000);
  });

  test('asks again after a gap, holds what comes until the answer, and tells it only if something is lost', async () => {
    const fake = fakeClient();
    const connection = await fake.connect();
    const channel = fake.client.channel('c:1');
    const told: unknown[] = [];
    channel.on('event', ({ data }) => told.push(data));
    channel.on('gap', () => told.push('gap'));
    void channel.subscribe();
    connection.subscribed(connection.take('subscribe')[0]!);
    connection.event('c:1', 1);
    connection.say('gap', { channel: 'c:1' });
    connection.event('c:1', 4);
    let [asked] = connection.take('subscribe');
    expect(asked!.payload.position).toBe('p1');
    connection.subscribed(asked!, { position: 'p1', recovered: true, replay: 3 });
    for (const n of [2, 3, 4, 5]) connection.event('c:1', n);
    expect(told).toEqual([1, 2, 3, 4, 5]);

    connection.say('gap', { channel: 'c:1' });
    connection.event('c:1', 8);
    [asked] = connection.take('subscribe');
    connection.subscribed(asked!, { position: 'p8', recovered: false, replay: 0 });
    connection.event('c:1', 9);
    expect(told).toEqual([1, 2, 3, 4, 5, 'gap', 8, 9]);
    expect(channel.position).toBe('p9');
  });

  test('one that is refused for now after a gap loses nothing', async () => {
    const fake = fakeClient();
    const connection = await fake.connect();
    const channel = fake.client.channel('c:1');
    const heard = collect(channel, 'event');
    void channel.subscribe();
    connection.subscribed(connection.take('subscribe')[0]!);
    connection.event('c:1', 1);
    connection.say('gap', { channel: 'c:1' });
    connection.say('error', { code: 4017, reason: 'unavailable' }, connection.take('subscribe')[0]!.id);
    connection.event('c:1', 3);
    await fake.pass(1_000);
    const [asked] = connection.take('subscribe');
    expect(asked!.payload.position).toBe('p1');
    connection.subscribed(asked!, { position: 'p1', recovered: true, replay: 2 });
    for (const n of [2, 3]) connection.event('c:1', n);
    expect(heard.all.map(({ data }) => data)).toEqual([1, 2, 3]);
  });

  test('a connection that is lost while events are held loses none', async () => {
    const fake = fakeClient();
    const connection = await fake.connect();
    const channel = fake.client.channel('c:1');
    const heard = collect(channel, 'event');
    void channel.subscribe();
    connection.subscribed(connection.take('subscribe')[0]!);
    connection.event('c:1', 1);
    connection.say('gap', { channel: 'c:1' });
    connection.event('c:1', 3);
    connection.end(1006);
    await fake.pass(1_000);
    fake.last.establish();
    const [asked] = fake.last.take('subscribe');
    expect(asked!.payload.position).toBe('p1');
    fake.last.subscribed(asked!, { position: 'p1', recovered: true, replay: 2 });
    for (const n of [2, 3]) fake.last.event('c:1', n);
    expect(heard.all.map(({ data }) => data)).toEqual([1, 2, 3]);
  });

  test('that is refused for now is asked for again', async () => {
    const fake = fakeClient();
    const connection = await fake.connect();
    const channel = fake.client.channel('c:1');
    const errors = collect(channel, 'error');
    const subscribed = channel.subscribe();
    connection.say('error', { code: 4017, reason: 'unavailable', retry_after_ms: 500 }, connection.take('subscribe')[0]!.id);
    expect(errors.all[0]!.code).toBe(4017);
    await fake.pass(1_500);
    connection.subscribed(connection.take('subscribe')[0]!);
    expect(await subscribed).toMatchObject({ channel: 'c:1' });
  });

  test('unsubscribing while subscribing ends it, and late answers change nothing', async () => {
    const fake = fakeClient();
    const connection = await fake.connect();
    const channel = fake.client.channel('c:1');
    const subscribed = channel.subscribe();
    const left = channel.unsubscribe();
    await expect(subscribed).rejects.toMatchObject({ reason: 'unsubscribed' });
    const [asked, ended] = connection.sent;
    connection.subscribed(asked!);
    connection.say('unsubscribed', { channel: 'c:1' }, ended!.id);
    await left;
    expect(channel.state).toBe('unsubscribed');
  });

  test('disconnect() and connect() resume it', async () => {
    const fake = fakeClient();
    const connection = await fake.connect();
    const channel = fake.client.channel('c:1');
    void channel.subscribe();
    connection.subscribed(connection.take('subscribe')[0]!);
    connection.event('c:1', 1);
    fake.client.disconnect();
    expect(channel.state).toBe('subscribing');
    const again = await fake.connect();
    expect(again.take('subscribe')[0]!.payload).toEqual({ channel: 'c:1', position: 'p1' });
  });
});
