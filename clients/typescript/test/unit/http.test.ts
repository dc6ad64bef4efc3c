// What the transports over HTTP are made of.
import { expect, test } from 'vitest';

import { jsonCodec } from '../../src/codec.js';
import { refusalOf, withChannels } from '../../src/http.js';
import { readEvents } from '../../src/sse.js';
import { WayChoice } from '../../src/way_choice.js';

/** The data of events in these bytes, given in pieces of this size. */
async function eventsIn(text: string, size: number): Promise<string[]> {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
  const events: string[] = [];
  let chunks = 0;
  await readEvents(body, async (data) => void events.push(data), () => chunks++);
  expect(chunks).toBe(Math.ceil(bytes.length / size));
  return events;
}

test.each([1, 2, 3, 7, 1_000])('events are read from pieces of %i bytes, and what is unfinished is left out', async (size) => {
  const text = 'id: a=1.2\nevent: subscribed\ndata: {"ä":\ndata: 1}\n\n:\n\nretry: 5\n\ndata:x\r\n\r\ndata:  y\n\ndata: unfin';
  expect(await eventsIn(text, size)).toEqual(['{"ä":\n1}', 'x', ' y']);
});

test('channels are named in addresses as nginx and weft_sse read them', () => {
  expect(withChannels('http://h/e', [])).toBe('http://h/e');
  expect(withChannels('http://h/e', ['a:b/c@d=e.f_g-h', 'i'])).toBe('http://h/e?channel=a:b/c@d=e.f_g-h&channel=i');
  expect(withChannels('http://h/e?x=1', ['a&b c+ä$&'])).toBe('http://h/e?x=1&channel=a%26b%20c%2B%C3%A4%24%26');
  expect(withChannels('http://h/{channel}/p', ['a:b'])).toBe('http://h/a:b/p');
});

test.each([
  [403, '{"code":4009,"reason":"banned","retry_after_ms":5}', { code: 4009, reason: 'banned', retry_after_ms: 5 }],
  [413, '<html>', { code: 4005, reason: 'HTTP 413' }],
  [502, '<html>', { code: 0, reason: 'HTTP 502' }],
  [404, 'null', { code: 0, reason: 'HTTP 404' }],
])('a refusal by %i with %s', async (status, body, refusal) => {
  expect(await refusalOf(new Response(body, { status }), jsonCodec().json!)).toEqual(refusal);
});

test('the next way is taken after two failures or a certain one, and the first again after waits that grow', () => {
  const choice = new WayChoice(3, 1_000);
  choice.start();
  choice.failed(0, false);
  expect(choice.now).toBe(0);
  choice.failed(0, false);
  expect(choice.now).toBe(1);
  choice.failed(0, true); // it isn't in use any more
  expect(choice.now).toBe(1);
  choice.failed(1, true);
  expect(choice.now).toBe(2);
  expect(choice.connected(2)).toBe(1_000);
  expect([1, 2, 3].map(() => choice.notYet())).toEqual([2_000, 4_000, 8_000]);
  for (let i = 0; i < 20; i++) choice.notYet();
  expect(choice.notYet()).toBe(1_800_000);
  choice.failed(2, false);
  choice.worked();
  choice.failed(2, false);
  expect(choice.now).toBe(2);
  choice.again();
  expect(choice.now).toBe(0);
  choice.failed(0, false); // once is enough then
  expect(choice.now).toBe(1);
  expect(choice.connected(0)).toBeUndefined();
  expect([choice.now, choice.connected(1)]).toEqual([0, 1_000]);

  const only = new WayChoice(1, 1_000);
  only.failed(0, true);
  expect(only.now).toBe(0);
});
