// Connections are cut at random while publishers run: nothing is lost, repeated or out of order at the callback.
import { expect, test } from 'vitest';

import { protobufCodec, type ClientOptions, type TransportName } from '../src/index.js';
import { clientOf, collect, fallback, fresh, next, nodes, Proxy } from './support.js';

const CUTS = Number(process.env.WEFT_CUTS ?? 200);
const between = (least: number, most: number) => Math.floor(least + Math.random() * (most - least));

const WAYS: TransportName[] = ['websocket', 'sse', 'poll'];

test.each(WAYS)(`${CUTS} cuts over %s: every event comes once and in order`, { timeout: 240_000 }, async (way) => {
  const options: ClientOptions = { transports: [way], fallback };
  const name = fresh('news');
  // The reader is sent to another node as often as not, and cut anywhere in a frame, a replay, a handshake.
  const away = await Proxy.to(() => nodes.urls[between(0, 2)]!);
  const reader = clientOf('reader', away.url, options);
  const channel = reader.channel<{ by: string; n: number }>(name);
  const heard = collect(channel, 'event');
  const lost = next(channel, 'gap').then(() => {
    throw new Error('the reader was told of a gap');
  });
  const resumed = collect(channel, 'subscribed');
  await reader.connect();
  await channel.subscribe();
  // The answer to a poll must get through at times.
  away.budget = () => between(1, way === 'poll' ? 20_000 : 8_000);
  away.cut();

  // Publishers stay at their node, since order is promised for one node, and are cut as well.
  const published: Record<string, number> = {};
  let sent = 0;
  let stop = false;
  const publishers = await Promise.all(
    ['ann', 'bob', 'cid', 'dan'].map(async (by, i) => {
      const near = await Proxy.to(nodes.urls[i % 2]!);
      near.budget = () => between(1_000, 40_000);
      const client = clientOf(by, near.url, i < 2 ? options : { codec: protobufCodec() });
      void client.connect();
      return { by, client, near };
    }),
  );
  const running = publishers.map(async ({ by, client }) => {
    let n = 0;
    const unanswered = new Set<Promise<unknown>>();
    while (!stop) {
      // No further ahead of the reader than history holds, and than the answer to a poll gets through between two cuts.
      if (sent - heard.all.length > (way === 'poll' ? 30 : 2_000)) await heard.until(heard.all.length + 1);
      sent += 1;
      const answer: Promise<unknown> = client.publish(name, { by, n: n++ }).finally(() => unanswered.delete(answer));
      unanswered.add(answer);
      if (unanswered.size >= 5) await Promise.race(unanswered);
    }
    await Promise.all(unanswered);
    published[by] = n;
  });
  const counting = (async () => {
    while (away.cuts < CUTS) await new Promise((resolve) => setTimeout(resolve, 20));
    stop = true;
  })();
  await Promise.race([lost, Promise.all([counting, ...running])]);
  for (const proxy of [away, ...publishers.map(({ near }) => near)]) proxy.budget = () => Infinity;
  const total = Object.values(published).reduce((sum, n) => sum + n, 0);
  await Promise.race([lost, heard.until(total)]);
  // Whatever were sent twice would come before this.
  await publishers[0]!.client.publish(name, { by: 'end', n: 0 });
  await heard.until(total + 1);

  const cuts = publishers.map(({ near }) => near.cuts);
  console.log(`${way}: ${total} events, ${away.cuts} cuts of the reader in ${away.connections} connections, ${resumed.all.length - 1} resumes,`
    + ` ${cuts.reduce((sum, n) => sum + n)} cuts of publishers`);
  for (const { by } of publishers) {
    const mine = heard.all.filter(({ data }) => data.by === by).map(({ data }) => data.n);
    expect(mine).toEqual([...Array(published[by]).keys()]);
  }
  expect(heard.all.length).toBe(total + 1);
  expect(resumed.all.length).toBeGreaterThan(CUTS / 4);
  const ids = heard.all.map(({ messageId }) => messageId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(Math.min(...cuts)).toBeGreaterThan(0);
});
