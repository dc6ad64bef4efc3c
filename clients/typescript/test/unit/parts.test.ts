import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { Backoff } from '../../src/backoff.js';
import { jsonCodec } from '../../src/codec.js';
import { deadline } from '../../src/deadline.js';
import { Emitter } from '../../src/emitter.js';
import { messageId } from '../../src/message_id.js';
import { Pace } from '../../src/pace.js';
import { RecentKeys } from '../../src/recent.js';

test('Backoff waits anything up to a bound that doubles', () => {
  for (const random of [0, 0.5, 0.999999]) {
    const backoff = new Backoff({ baseMs: 100, maxMs: 1_000 }, () => random);
    const waits = [...Array(6)].map(() => backoff.next());
    expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000].map((bound) => Math.round(bound * random)));
    backoff.reset();
    expect(backoff.next()).toBe(Math.round(100 * random));
  }
  const backoff = new Backoff();
  for (let i = 0; i < 2_000; i++) expect(backoff.next()).toBeLessThanOrEqual(30_000);
});

describe('deadline', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('expires in time, and not when it is released', () => {
    const expired = vi.fn();
    deadline(1_000, expired);
    vi.advanceTimersByTime(999);
    expect(expired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(expired).toHaveBeenCalledOnce();
    deadline(1_000, expired)();
    vi.advanceTimersByTime(60_000);
    expect(expired).toHaveBeenCalledOnce();
  });

  test('of a tab that slept gives what waits behind it a chance', () => {
    const expired = vi.fn();
    const release = deadline(10_000, expired);
    vi.setSystemTime(Date.now() + 3_600_000);
    vi.advanceTimersByTime(10_000);
    expect(expired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(5_000);
    expect(expired).toHaveBeenCalledOnce();
    release();
  });
});

test('Pace lets a burst through and then the rate', () => {
  const pace = new Pace();
  expect([...Array(1_000)].every(() => pace.take(0) === 0)).toBe(true);
  pace.start(100, 10, 0);
  let sent = 0;
  while (pace.take(0) === 0) sent += 1;
  expect(sent).toBe(9);
  expect(pace.take(0)).toBe(10);
  expect(pace.take(9)).toBe(1);
  expect(pace.take(10)).toBe(0);
  expect(pace.take(10)).toBe(10);
  pace.start(0, 0, 10);
  expect(pace.take(10)).toBe(0);
});

test('RecentKeys forgets the oldest, and what is old', () => {
  const keys = new RecentKeys(3, 1_000);
  expect(['a', 'b', 'c', 'a', 'd', 'a', 'd'].map((key) => keys.add(key, 0))).toEqual([true, true, true, false, true, true, false]);
  expect(keys.add('d', 999)).toBe(false);
  expect(keys.add('d', 1_000)).toBe(true);
});

test('Emitter reports what a listener throws, and tells the others', async () => {
  const emitter = new Emitter<{ it: number }>();
  const heard: string[] = [];
  emitter.on('it', () => {
    throw new Error('mine');
  });
  emitter.once('it', (n) => heard.push(`once ${n}`));
  const off = emitter.on('it', (n) => heard.push(`on ${n}`));
  const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve));
  const others = process.listeners('uncaughtException').slice(0, -1);
  others.forEach((one) => process.off('uncaughtException', one));
  emitter.emit('it', 1);
  expect(await uncaught).toMatchObject({ message: 'mine' });
  others.forEach((one) => process.on('uncaughtException', one));
  emitter.off('it');
  emitter.on('it', (n) => heard.push(`again ${n}`));
  emitter.emit('it', 2);
  off();
  expect(heard).toEqual(['once 1', 'on 1', 'again 2']);
});

test('messageId is 128 bits, also where there is no crypto', () => {
  for (const source of [globalThis.crypto, undefined]) {
    vi.stubGlobal('crypto', source);
    const ids = [...Array(100)].map(messageId);
    vi.unstubAllGlobals();
    expect(new Set(ids).size).toBe(100);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  }
});

test('jsonCodec refuses what is no frame, and parses as it is told to', () => {
  for (const text of ['', 'null', '1', '[]', '{}', '{"type":1}', '"x"']) expect(() => jsonCodec().decode(text)).toThrow();
  expect(() => jsonCodec().decode(new ArrayBuffer(2))).toThrow();
  expect(jsonCodec(() => ({ type: 'mine' })).decode('x')).toEqual({ type: 'mine' });
});
