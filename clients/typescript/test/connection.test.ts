// Connections to two real nodes: tickets, refusals, silence, and nodes that go.
import { execFileSync } from 'node:child_process';

import { describe, expect, test } from 'vitest';

import { UnauthorizedError, WeftError } from '../src/index.js';
import { api, clientOf, collect, ended, fresh, linked, masterOf, next, nodes, Proxy, refusalOf, socketUrl, ticketFor } from './support.js';

describe('a connection', () => {
  test('is told of, and ends when it is told to', async () => {
    const ann = clientOf('ann');
    const states = collect(ann, 'state');
    expect(ann.state).toBe('disconnected');
    const info = await ann.connect();
    expect(info).toMatchObject({ user: 'ann', node: 'demo-a', limits: { messagesPerSecond: 500, messagesBurst: 200 } });
    expect(info.heartbeatMs).toBe(20_000);
    expect(ann.connection).toBe(info);
    const end = ended(ann);
    ann.disconnect();
    expect(await end).toEqual({ code: 0, reason: 'disconnected' });
    expect(states.all.map(({ current }) => current)).toEqual(['connecting', 'connected', 'disconnected']);
  });

  test('needs no ticket where the server asks for none', async () => {
    const who = clientOf('', socketUrl(0, 'anonymous'), { getTicket: undefined });
    expect((await who.connect()).user).toBe('');
  });

  test('shows its ticket as the first message where that is wanted', async () => {
    const ann = clientOf('ann', socketUrl(0, 'late'), { ticketIn: 'message' });
    expect((await ann.connect()).user).toBe('ann');
  });

  test('gets a new ticket when the one in use ends soon', async () => {
    const reasons: string[] = [];
    let refreshed: () => void;
    const done = new Promise<void>((resolve) => (refreshed = resolve));
    const ann = clientOf('ann', socketUrl(0, 'late'), {
      ticketIn: 'message',
      getTicket: ({ reason }) => {
        reasons.push(reason);
        if (reason === 'refresh') refreshed();
        return ticketFor('ann', reason === 'refresh' ? { exp: Math.floor(Date.now() / 1000) + 86_400 } : {});
      },
    });
    const errors = collect(ann, 'error');
    await ann.connect();
    await done;
    expect(await ann.rpc('weft.echo', 1)).toBe(1);
    expect(reasons).toEqual(['connect', 'refresh']);
    expect(errors.all).toEqual([]);
    const { expiresAt } = await ann.refresh();
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now() + 80_000_000);
  });

  test('a forged ticket is tried once, and another one that differs', async () => {
    const tickets = [`${ticketFor('ann').slice(0, -4)}AAAA`, ticketFor('ann')];
    const asked: string[] = [];
    const ann = clientOf('ann', socketUrl(0), { getTicket: () => (asked.push('x'), tickets[asked.length - 1]!) });
    await ann.connect();
    expect(asked.length).toBe(2);

    const bob = clientOf('bob', socketUrl(0), { getTicket: () => tickets[0]! });
    const end = ended(bob);
    await expect(bob.connect()).rejects.toMatchObject({ code: 4002, reason: 'authentication_failed' });
    expect(await end).toMatchObject({ code: 4002 });
    expect(bob.state).toBe('disconnected');
  });

  test('without a ticket where one is needed is given up', async () => {
    const bob = clientOf('bob', socketUrl(0), { getTicket: undefined });
    await expect(bob.connect()).rejects.toMatchObject({ code: 4001 });
  });

  test('getTicket that throws is asked again, but not after UnauthorizedError', async () => {
    let calls = 0;
    const ann = clientOf('ann', socketUrl(0), {
      getTicket: async () => {
        if (++calls === 1) throw new Error('back end is away');
        return ticketFor('ann');
      },
    });
    const error = next(ann, 'error');
    await ann.connect();
    expect(await error).toMatchObject({ code: 0, reason: 'ticket', message: 'no ticket: back end is away' });

    const bob = clientOf('bob', socketUrl(0), { getTicket: () => Promise.reject(new UnauthorizedError('log in')) });
    await expect(bob.connect()).rejects.toMatchObject({ reason: 'ticket' });
    expect(bob.state).toBe('disconnected');
  });

  test('who is disconnected or banned stays away until connect() is called', async () => {
    let tickets = 0;
    const eve = clientOf('eve-1', socketUrl(0), { getTicket: () => (tickets++, ticketFor('eve-1')) });
    await eve.connect();
    let end = ended(eve);
    await api('disconnect', { user: 'eve-1' });
    expect(await end).toMatchObject({ code: 4013, reason: 'revoked' });
    expect(tickets).toBe(1);
    await eve.connect();
    expect(tickets).toBe(2);
    end = ended(eve);
    await api('ban', { user: 'eve-1', seconds: 600 });
    expect(await end).toMatchObject({ code: 4009 });
    const refusal = await refusalOf(eve);
    expect(refusal).toBeInstanceOf(WeftError);
    expect((refusal as WeftError).code).toBe(4009);
    expect((refusal as WeftError).retryAfterMs).toBeGreaterThan(0);
    await api('unban', { user: 'eve-1' });
  });

  test('one that is silent without an end is given up and replaced', async () => {
    const proxy = await Proxy.to(nodes.urls[0]!);
    const ann = clientOf('ann', proxy.url, { heartbeatMs: 50, pongTimeoutMs: 2_000, connectTimeoutMs: 2_000 });
    await ann.connect();
    proxy.frozen = true;
    expect(await next(ann, 'connecting')).toMatchObject({ code: 1006, reason: 'no pong' });
    const back = next(ann, 'connected');
    proxy.frozen = false;
    await back;
    expect(await ann.rpc('weft.echo', 'x')).toBe('x');
  });

  test('goes to the next address when one fails', async () => {
    const ann = clientOf('ann', ['ws://127.0.0.1:1/ws', socketUrl(1)]);
    expect((await ann.connect()).node).toBe('demo-b');
  });
});

describe('nodes that go', () => {
  test('a reload is left in time, and nothing is missed without history', async () => {
    const name = fresh('plain');
    const [ann, bob] = [clientOf('ann', [socketUrl(0), socketUrl(1)]), clientOf('bob', socketUrl(1))];
    const channel = ann.channel<number>(name);
    const heard = collect(channel, 'event');
    const gaps = collect(channel, 'gap');
    const states = collect(ann, 'state');
    await Promise.all([ann.connect(), bob.connect()]);
    expect(ann.connection!.node).toBe('demo-a');
    await channel.subscribe();
    let moved = false;
    const asked = next(ann, 'reconnect');
    void next(ann, 'connected').then(() => (moved = true));
    process.kill(masterOf('a'), 'SIGHUP');
    let sent = 0;
    while (!moved) await bob.publish(name, sent++);
    for (let more = 0; more < 20; more++) await bob.publish(name, sent++);
    expect((await asked).reason).toBe('shutting_down');
    await heard.until(sent);
    expect(heard.all.map(({ data }) => data).sort((a, b) => a - b)).toEqual([...Array(sent).keys()]);
    expect(states.all.map(({ current }) => current)).toEqual(['connecting', 'connected']);
    expect(ann.connection!.node).toBe('demo-b');
    expect(gaps.all.length).toBeLessThanOrEqual(1);
  });

  test('workers that are killed cost a reconnect', async () => {
    const ann = clientOf('ann');
    const channel = ann.channel(fresh());
    const heard = collect(channel, 'event');
    await ann.connect();
    await channel.subscribe();
    const lost = next(ann, 'connecting');
    const back = next(channel, 'subscribed');
    const workers = execFileSync('ps', ['-o', 'pid=', '--ppid', String(masterOf('a'))], { encoding: 'utf8' });
    for (const pid of workers.trim().split(/\s+/)) process.kill(Number(pid), 'SIGKILL');
    expect(await lost).toMatchObject({ code: 1006 });
    const published = channel.publish('queued meanwhile');
    expect(await back).toMatchObject({ recovered: true });
    await published;
    expect((await heard.until(1))[0]!.data).toBe('queued meanwhile');
    await linked(0); // those who come now are told the node's name again
  });
});
