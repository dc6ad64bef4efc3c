// What a connection does when the server, the network or the clock does what they seldom do.
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

  test('on reconnect without history keeps the old connection a while for what is still on its way', async () => {
    const fake = fakeClient();
    const old = await fake.connect();
    const channel = fake.client.channel('c:1');
    const heard = collect(channel, 'event');
    void channel.subscribe();
    old.subscribed(old.take('subscribe')[0]!);
    old.say('reconnect', { after_ms: 0, reason: 'shutting_down' });
    await fake.pass(0);
    fake.last.establish();
    fake.last.subscribed(fake.last.take('subscribe')[0]!, { position: 'p9' });
    fake.last.event('c:1', 2);
    old.event('c:1', 1);
    old.event('c:1', 2);
    expect(heard.all.map(({ data }) => data)).toEqual([2, 1]);
    expect(channel.position).toBe('p2');
    await fake.pass(1_999);
    expect(old.closedWith).toBeUndefined();
    await fake.pass(1);
    expect(old.closedWith).toBe(1000);
    expect(fake.connections.length).toBe(2);
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
    const asked: any[] = [];
    const fake = fakeClient({ getTicket: (request) => (asked.push(request), new Promise((resolve) => setTimeout(() => resolve('late'), 5_000))) });
    const first = fake.client.connect();
    const [{ signal }] = asked;
    expect(signal.aborted).toBe(false);
    fake.client.disconnect();
    expect(signal.aborted).toBe(true);
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
