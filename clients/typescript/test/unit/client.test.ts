// What the client does when the server, the network or the clock does what they seldom do.
import { describe, expect, test, vi } from 'vitest';

import { WeftClient, WeftError } from '../../src/index.js';
import { fakeClient } from '../fake.js';
import { collect } from '../support.js';

describe('coming back', () => {
  test.each([1000, 1001, 1006, 1012, 4004, 4012, 4014, 4015, 4017, 4019])('after %i, with waits that grow and a new ticket each', async (code) => {
    const fake = fakeClient();
    const waits = collect(fake.client, 'connecting');
    await fake.connect();
    for (let i = 0; i < 4; i++) {
      fake.last.end(code);
      const count = fake.connections.length;
      await fake.pass(waits.all.at(-1)!.delayMs - 1);
      expect(fake.connections.length).toBe(count);
      await fake.pass(1);
      expect(fake.connections.length).toBe(count + 1);
    }
    expect(waits.all.map(({ delayMs }) => delayMs)).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(waits.all[0]!.code).toBe(code);
    expect(fake.connections.map(({ protocols }) => protocols[1])).toEqual([1, 2, 3, 4, 5].map((n) => `bearer.t${n}`));
  });

  test.each([4003, 4009, 4013])('not after %i, until connect() is called', async (code) => {
    const fake = fakeClient();
    const ends = collect(fake.client, 'disconnected');
    await fake.connect();
    fake.last.say('error', { code, reason: 'told', message: 'why' });
    fake.last.end(code, 'told');
    await fake.pass(3_600_000);
    expect(fake.connections.length).toBe(1);
    expect(ends.all).toEqual([{ code, reason: 'told', error: expect.objectContaining({ code, message: 'why' }) }]);
    await fake.connect();
    expect(fake.last.protocols).toEqual(['weft.v1.json', 'bearer.t2']);
  });

  test.each([4001, 4002])('after %i only with another ticket, and three at most', async (code) => {
    const same = fakeClient({ getTicket: () => 'same' });
    const refused = same.client.connect();
    await same.pass(0);
    same.last.end(code);
    await same.pass(60_000);
    await expect(refused).rejects.toMatchObject({ code });
    expect(same.connections.length).toBe(1);

    const others = fakeClient();
    void others.client.connect();
    for (let i = 0; i < 5; i++) {
      await others.pass(5_000);
      if (others.client.state === 'connecting') others.last.end(code);
    }
    expect(others.connections.length).toBe(3);
    expect(others.client.state).toBe('disconnected');
  });

  test('waits as long as the server says', async () => {
    const fake = fakeClient();
    const waits = collect(fake.client, 'connecting');
    await fake.connect();
    fake.last.say('error', { code: 4015, reason: 'too_many_connections', retry_after_ms: 7_000 });
    fake.last.end(4015);
    expect(waits.all[0]!.delayMs).toBe(8_000);
  });

  test('on reconnect goes when it is told to, and lets go of the old connection when it has the new one', async () => {
    const fake = fakeClient();
    const states = collect(fake.client, 'state');
    const old = await fake.connect();
    const channel = fake.client.channel('c:1');
    const heard = collect(channel, 'event');
    void channel.subscribe();
    old.subscribed(old.take('subscribe')[0]!);
    const call = fake.client.rpc('slow');
    old.say('reconnect', { after_ms: 1_234, reason: 'shutting_down' });
    await fake.pass(1_233);
    expect(fake.connections.length).toBe(1);
    await fake.pass(1);
    expect(fake.connections.length).toBe(2);
    old.event('c:1', 1);
    fake.last.establish({ node: 'b' });
    const [asked] = fake.last.take('subscribe');
    expect(asked!.payload).toEqual({ channel: 'c:1', position: 'p1' });
    old.event('c:1', 2); // also in the replay
    fake.last.subscribed(asked!, { position: 'p1', recovered: true, replay: 1 });
    fake.last.event('c:1', 2);
    fake.last.event('c:1', 3);
    expect(old.closedWith).toBeUndefined(); // it owes an answer
    old.say('rpc_response', { result: 9 }, old.take('rpc')[0]!.id);
    expect(await call).toBe(9);
    expect(old.closedWith).toBe(1000);
    expect(heard.all.map(({ data }) => data)).toEqual([1, 2, 3]);
    expect(states.all.length).toBe(2);
  });

  test('on reconnect and 1012 before that waits for the time that it was told', async () => {
    const fake = fakeClient();
    const waits = collect(fake.client, 'connecting');
    await fake.connect();
    fake.last.say('reconnect', { after_ms: 5_000, reason: 'shutting_down' });
    await fake.pass(2_000);
    fake.last.end(1012);
    expect(waits.all).toEqual([{ code: 1012, reason: '', delayMs: 3_000, attempt: 0 }]);
    await fake.pass(2_999);
    expect(fake.connections.length).toBe(1);
    await fake.pass(1);
    expect(fake.connections.length).toBe(2);
  });

  test('gives up a connection that is not established in time, and a ticket that does not come', async () => {
    const fake = fakeClient();
    void fake.client.connect();
    await fake.pass(10_000);
    expect(fake.connections.length).toBe(1);
    expect(fake.last.closedWith).toBe(0);
    await fake.pass(1_000);
    expect(fake.connections.length).toBe(2);

    let aborted = 0;
    const idle = fakeClient({ getTicket: ({ signal }) => new Promise(() => signal.addEventListener('abort', () => aborted++)) });
    const errors = collect(idle.client, 'error');
    void idle.client.connect();
    await idle.pass(10_000);
    expect(errors.all[0]).toMatchObject({ reason: 'ticket' });
    expect(aborted).toBe(1);
    idle.client.disconnect();
    await idle.pass(60_000);
    expect(errors.all.length).toBe(1);
  });

  test('disconnect() while a ticket is on its way leaves nothing behind', async () => {
    const fake = fakeClient({ getTicket: () => new Promise((resolve) => setTimeout(() => resolve('late'), 5_000)) });
    const first = fake.client.connect();
    fake.client.disconnect();
    await expect(first).rejects.toMatchObject({ reason: 'disconnected' });
    await fake.pass(60_000);
    expect(fake.connections.length).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('an address that is none ends it', async () => {
    const client = new WeftClient('::', { transport: { open: () => expect.unreachable() } });
    await expect(client.connect()).rejects.toBeInstanceOf(WeftError);
    expect(client.state).toBe('disconnected');
    expect(() => new WeftClient([])).toThrow(TypeError);
  });
});

describe('silence', () => {
  test('is answered with a ping, and a pong keeps the connection', async () => {
    const fake = fakeClient();
    await fake.connect();
    for (let i = 0; i < 5; i++) {
      await fake.pass(30_000);
      expect(fake.last.take('ping').length).toBe(1);
      fake.last.say('pong');
    }
    expect(fake.connections.length).toBe(1);
    await fake.pass(29_000);
    fake.last.say('signal', { channel: 'c:1', name: 'x', data: 1 }); // any frame will do
    await fake.pass(29_000);
    expect(fake.last.take('ping').length).toBe(0);
  });

  test('without a pong ends the connection', async () => {
    const fake = fakeClient();
    const waits = collect(fake.client, 'connecting');
    await fake.connect();
    await fake.pass(39_999);
    expect(waits.all).toEqual([]);
    await fake.pass(1);
    expect(waits.all[0]).toMatchObject({ code: 1006, reason: 'no pong' });
    expect(fake.last.closedWith).toBe(0);
  });

  test('of a tab that slept is no silence of the server', async () => {
    const fake = fakeClient();
    const waits = collect(fake.client, 'connecting');
    await fake.connect();
    await fake.pass(30_000); // pinged
    vi.setSystemTime(Date.now() + 600_000); // asleep; the pong waits in the socket
    await fake.pass(10_000);
    fake.last.say('pong');
    await fake.pass(20_000);
    expect(waits.all).toEqual([]);
    expect(fake.client.state).toBe('connected');
  });

  test('what is no frame ends the connection', async () => {
    const fake = fakeClient();
    const waits = collect(fake.client, 'connecting');
    await fake.connect();
    fake.last.listener.message('{"type":');
    expect(waits.all[0]).toMatchObject({ reason: 'invalid frame' });
  });
});

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

test('a notice that the ticket ends refreshes it; another error that answers nothing is told', async () => {
  const fake = fakeClient();
  const errors = collect(fake.client, 'error');
  const connection = await fake.connect();
  connection.say('error', { code: 4012, reason: 'token_expired' });
  await fake.pass(0);
  const [refresh] = connection.take('refresh');
  expect(refresh!.payload).toEqual({ token: 't2' });
  connection.say('refreshed', { expires_at: 'then' }, refresh!.id);
  connection.say('error', { code: 4006, reason: 'invalid_message', message: 'no' });
  expect(errors.all.map(({ code, message }) => [code, message])).toEqual([[4006, 'no']]);
});
