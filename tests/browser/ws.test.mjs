// The main path through two nodes, with node's ws as the client: nginx A, weftd A, weftd B, nginx B.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Client } from './client.mjs';
import { post, startNodes, ticketFor } from './nodes.mjs';

let demo, nodeA, nodeB;
before(async () => {
  demo = await startNodes();
  [nodeA, nodeB] = demo.nodes;
});
after(() => demo?.stop());

/** Two clients in one room, one on each node. */
async function pair(room) {
  const [ada, bob] = await Promise.all([Client.connect(nodeA, 'Ada'), Client.connect(nodeB, 'Bob')]);
  const channel = `chat:${room}`;
  await Promise.all([ada.subscribe(channel), bob.subscribe(channel)]);
  return { ada, bob, channel };
}

/** What else came to a client, but for who comes and goes: a node begins to tell of that a second or more after its start. */
function left(client) {
  return client.left.filter(({ type }) => !['join', 'leave', 'presence_gap'].includes(type));
}

/** The text of `data` in a frame, exactly as it came. */
function dataText(frame, expected) {
  assert.ok(frame.text.includes(`"data":${expected}`), `${expected} is not in ${frame.text}`);
}

test('the first frame names the client, the user and the node, and the nodes differ', async () => {
  const ada = await Client.connect(nodeA, 'Ada');
  const bob = await Client.connect(nodeB, 'Bób 😀');
  assert.match(ada.hello.client_id, /^[0-9a-f]{16}$/);
  assert.notEqual(ada.hello.client_id, bob.hello.client_id);
  assert.equal(ada.hello.user, 'Ada');
  assert.equal(bob.hello.user, 'Bób 😀');
  assert.deepEqual([ada.hello.node, bob.hello.node], ['demo-a', 'demo-b']);
  assert.ok(Math.abs(Date.parse(ada.hello.server_time) - Date.now()) < 60_000, ada.hello.server_time);
  assert.equal(ada.hello.heartbeat_ms, 30_000);
  assert.equal(ada.socket.protocol, 'weft.v1.json');
  await Promise.all([ada.close(), bob.close()]);
});

test('what is published on one node reaches subscribers of both, the publisher included', async () => {
  const { ada, bob, channel } = await pair('both');
  const { type, payload: published } = await ada.ask('publish', { channel, data: { text: 'hello' }, message_id: 'm-1' });
  assert.equal(type, 'published');
  assert.equal(published.message_id, 'm-1');
  assert.ok(published.position);
  for (const client of [ada, bob]) {
    const { payload, id } = await client.next('event');
    assert.equal(id, undefined);
    assert.equal(payload.channel, channel);
    assert.deepEqual(payload.data, { text: 'hello' });
    assert.equal(payload.message_id, 'm-1');
    assert.deepEqual(payload.publisher, { user: 'Ada', client_id: ada.hello.client_id });
    assert.match(payload.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.ok(payload.position);
  }
  await bob.ask('publish', { channel, data: 'and back' });
  assert.equal((await ada.next('event')).payload.data, 'and back');
  await Promise.all([ada.close(), bob.close()]);
});

test('data keeps its bytes: digits, escapes, spaces, order', async () => {
  const { ada, bob, channel } = await pair('bytes');
  const samples = [
    '1.00000000000000000000000000001e+2',
    '123456789012345678901234567890',
    '-0.0',
    '"\\u00e9\\/\\ud83d\\ude00\\u0000"',
    '"é😀 \u2028"',
    '{ "b" : [ 1 ,2 ] , "a":null,"a":true}',
    '[]',
    'null',
  ];
  for (const sample of samples) {
    ada.send(`{"payload":{"data":${sample},"channel":"${channel}"},"type":"publish"}`);
    dataText(await bob.next('event'), sample);
    dataText(await ada.next('event'), sample);
  }
  await Promise.all([ada.close(), bob.close()]);
});

test('a message just below the limit passes, one above it ends the connection', async () => {
  const { ada, bob, channel } = await pair('big');
  const big = JSON.stringify('é'.repeat(30_000));
  const { type } = await ada.ask('publish', { channel, data: JSON.parse(big) });
  assert.equal(type, 'published');
  dataText(await bob.next('event'), big);
  ada.send({ type: 'publish', payload: { channel, data: 'x'.repeat(70_000) } });
  assert.equal((await ada.closed).code, 1009);
  assert.equal((await bob.ask('ping', {})).type, 'pong');
  assert.equal(left(bob).length, 0);
  await bob.close();
});

test('publications of one connection arrive on the other node once each and in order', async () => {
  const { ada, bob, channel } = await pair('order');
  const count = 150;
  for (let i = 0; i < count; i++) ada.send({ type: 'publish', payload: { channel, data: i } });
  for (const client of [bob, ada]) {
    const got = [];
    while (got.length < count) got.push((await client.next('event')).payload.data);
    assert.deepEqual(got, [...Array(count).keys()]);
    assert.equal((await client.ask('ping', {})).type, 'pong');
    assert.equal(left(client).length, 0);
  }
  await Promise.all([ada.close(), bob.close()]);
});

test('a back end publishes with POST to either node', async () => {
  const { ada, bob, channel } = await pair('backend');
  const response = await post(nodeB, channel, '{"text":"from a back end"}');
  assert.equal(response.status, 202);
  const answer = await response.json();
  assert.ok(answer.message_id && answer.position);
  for (const client of [ada, bob]) {
    const { payload } = await client.next('event');
    assert.deepEqual(payload.data, { text: 'from a back end' });
    assert.equal(payload.message_id, answer.message_id);
    assert.equal(payload.publisher, undefined);
  }
  const refused = await post(nodeA, channel, '{"text":');
  assert.equal(refused.status, 400);
  assert.match(refused.headers.get('content-type'), /application\/json/);
  assert.ok(await refused.json());
  assert.equal(left(ada).length, 0);
  await Promise.all([ada.close(), bob.close()]);
});

test('a signal reaches the other node and is not answered', async () => {
  const { ada, bob, channel } = await pair('signal');
  ada.send({ type: 'signal', payload: { channel, name: 'typing', data: { on: true } } });
  const { payload } = await bob.next('signal');
  assert.equal(payload.name, 'typing');
  assert.deepEqual(payload.data, { on: true });
  assert.equal(payload.publisher.user, 'Ada');
  assert.equal((await ada.ask('ping', {})).type, 'pong');
  assert.ok(left(ada).every(({ type }) => type === 'signal'));
  await Promise.all([ada.close(), bob.close()]);
});

test('rpc answers what is built in, and says why it does not answer the rest', async () => {
  const ada = await Client.connect(nodeA, 'Ada');
  const echo = await ada.ask('rpc', { method: 'weft.echo', params: { a: [1, 'é'] } });
  assert.equal(echo.type, 'rpc_response');
  assert.deepEqual(echo.payload.result, { a: [1, 'é'] });
  const time = await ada.ask('rpc', { method: 'weft.time' });
  assert.equal(time.type, 'rpc_response');
  const unknown = await ada.ask('rpc', { method: 'weft.nothing' });
  assert.deepEqual([unknown.type, unknown.payload.code], ['error', 4018]);
  const forbidden = await ada.ask('rpc', { method: 'orders.list' });
  assert.deepEqual([forbidden.type, forbidden.payload.code], ['error', 4010]);
  await ada.close();
});

test('after unsubscribe nothing more comes', async () => {
  const { ada, bob, channel } = await pair('leaving');
  assert.equal((await bob.ask('unsubscribe', { channel })).type, 'unsubscribed');
  await ada.ask('publish', { channel, data: 1 });
  await ada.next('event');
  assert.equal((await bob.ask('rpc', { method: 'weft.echo', params: 1 })).type, 'rpc_response');
  assert.equal(left(bob).length, 0);
  await Promise.all([ada.close(), bob.close()]);
});

test('errors name their code and leave the connection up', async () => {
  const ada = await Client.connect(nodeA, 'Ada');
  const cases = [
    ['subscribe', { channel: 'other:room' }, 4007],
    ['subscribe', { channel: 'not a channel' }, 4006],
    ['dance', {}, 4006],
    ['publish', { channel: 'chat:x' }, 4006],
  ];
  for (const [type, payload, code] of cases) {
    const answer = await ada.ask(type, payload);
    assert.equal(answer.type, 'error', answer.text);
    assert.equal(answer.payload.code, code, answer.text);
    assert.ok(answer.payload.reason && answer.payload.message, answer.text);
  }
  assert.equal((await ada.ask('ping', {})).type, 'pong');
  await ada.close();
});

test('a forged ticket is closed with 4002, none with 4001', async () => {
  const good = await ticketFor(nodeA, 'Ada');
  const [head, , signature] = good.split('.');
  const claims = Buffer.from(JSON.stringify({ sub: 'root', exp: 9999999999 })).toString('base64url');
  assert.equal((await Client.open(nodeA, `${head}.${claims}.${signature}`).closed).code, 4002);
  const without = Client.open(nodeA, '');
  assert.ok([4001, 4002].includes((await without.closed).code));
});
