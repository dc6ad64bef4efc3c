// permessage-deflate with other implementations as the other side: node's ws in all its settings, and Chromium.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import WebSocket from 'ws';

import { launchChromium } from './chromium.mjs';
import { Client } from './client.mjs';
import { build, post, startNodes } from './nodes.mjs';

const takeovers = ['none', 'server', 'client', 'both'];
const windows = [9, 12, 15];
let nginx, folder, port;

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: free } = server.address();
  server.close();
  await once(server, 'close');
  return free;
}

// An nginx that echoes, with a location for each setting; what it echoes needs no weftd.
before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weft-compression.'));
  port = await freePort();
  const locations = takeovers.flatMap((takeover) =>
    windows.map(
      (window) =>
        `location = /${takeover}/${window} { weft_echo; weft_rate off; weft_message_size 1m;
          weft_compression on level=${window % 9 + 1} min_size=100 window=${window} client_window=${window} takeover=${takeover}; }`,
    ),
  );
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`);
  fs.writeFileSync(
    path.join(folder, 'nginx.conf'),
    `load_module ${build}/ngx_http_weft_module.so;
     daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr warn;
     events {}
     http { access_log off; ${temp.join(' ')} weft_sidecar ipc://${folder}/nobody.sock;
       server { listen 127.0.0.1:${port}; ${locations.join('\n')} location = /status { weft_status; } } }`,
  );
  nginx = spawn('setpriv', ['--pdeathsig', 'TERM', '/usr/sbin/nginx', '-p', folder, '-e', 'stderr', '-c', path.join(folder, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/status`).catch(() => null);
    if (answer?.ok) return;
    assert.ok(tries < 200 && nginx.exitCode === null, 'nginx did not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});
after(async () => {
  if (nginx?.exitCode === null) {
    nginx.kill('SIGTERM');
    assert.deepEqual(await once(nginx, 'exit'), [0, null]);
  }
  fs.rmSync(folder, { recursive: true, force: true });
});

/** Text that gets smaller, another for each seed. */
function words(size, seed) {
  let text = '';
  for (let i = 0; text.length < size; i++) text += `"field${(i * seed) % 31}":"välue ${(i * i * seed) % 101}",`;
  return text.slice(0, size);
}

const messages = [
  '',
  'short',
  words(99, 1),
  words(1_000, 1),
  words(1_000, 1),
  words(1_000, 2),
  'a'.repeat(100_000),
  words(60_000, 3),
  Buffer.from(words(10_000, 5)),
  Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7919 * (i % 251)) & 0xff)),
  words(1_000, 2),
];

/** Sends all messages through a location, and checks that they come back; resolves with what was agreed. */
async function echo(location, perMessageDeflate) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/${location}`, { perMessageDeflate });
  await once(socket, 'open');
  const answers = [];
  const all = new Promise((resolve, reject) => {
    socket.on('message', (data, isBinary) => {
      answers.push([data, isBinary]);
      if (answers.length === messages.length) resolve();
    });
    socket.on('error', reject);
    socket.on('close', (code) => reject(new Error(`closed with ${code} after ${answers.length} messages`)));
  });
  for (const message of messages) socket.send(message);
  await all;
  messages.forEach((message, i) => {
    assert.equal(answers[i][1], typeof message !== 'string', `${i} is of its kind`);
    assert.ok(answers[i][0].equals(Buffer.from(message)), `${i} comes back as it went`);
  });
  const { extensions } = socket;
  socket.removeAllListeners('close');
  socket.close(1000);
  assert.equal((await once(socket, 'close'))[0], 1000);
  return extensions;
}

async function compression() {
  return (await (await fetch(`http://127.0.0.1:${port}/status`)).json()).compression;
}

// What ws offers: its options, and how they read in the offer.
const offers = [
  { threshold: 0 },
  { threshold: 0, serverNoContextTakeover: true },
  { threshold: 0, clientNoContextTakeover: true },
  { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
  { threshold: 0, serverMaxWindowBits: 9 },
  { threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 11 },
  { threshold: 0, clientMaxWindowBits: 9, zlibDeflateOptions: { memLevel: 1, level: 9 } },
  { threshold: 0, serverMaxWindowBits: 15, clientMaxWindowBits: 15 },
];

for (const takeover of takeovers) {
  for (const window of windows) {
    test(`node's ws and takeover=${takeover} window=${window} understand each other whatever ws offers`, async () => {
      const first = await compression();
      for (const offer of offers) assert.equal(await echo(`${takeover}/${window}`, offer), 'permessage-deflate');
      const now = await compression();
      for (const way of ['in', 'out']) {
        const raw = now[way].raw - first[way].raw;
        assert.ok(raw > offers.length * 170_000, `${way}: ${raw} bytes`);
        assert.ok(now[way].compressed - first[way].compressed < raw / 2);
      }
    });
  }
}

test("a window that zlib has not is not agreed on, and ws's messages go as they are", async () => {
  assert.equal(await echo('both/15', { threshold: 0, serverMaxWindowBits: 8 }), '');
  assert.equal(await echo('both/15', false), '');
});

test('a message that is larger than allowed once it is inflated ends the connection with 1009', async () => {
  for (const location of ['none/15', 'both/15']) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/${location}`, { perMessageDeflate: { threshold: 0 } });
    await once(socket, 'open');
    socket.send(Buffer.alloc(50_000_000)); // some 50 kB on the wire
    assert.equal((await once(socket, 'close'))[0], 1009);
  }
});

test('a page in Chromium gets and sends events compressed', async () => {
  const demo = await startNodes();
  const browser = await launchChromium();
  try {
    const [node] = demo.nodes;
    const status = async () => (await (await fetch(new URL('weft/status', node))).json()).compression;
    const page = await browser.newPage();
    await page.goto(node);
    const text = words(4_000, 7);
    const first = await status();
    const extensions = await page.evaluate(async () => {
      const { ticket } = await (await fetch('ticket?name=Ada', { method: 'POST' })).json();
      const address = new URL('ws', location.href);
      address.protocol = 'ws:';
      const socket = new WebSocket(address, ['weft.v1.json', `bearer.${ticket}`]);
      window.frames_ = [];
      window.socket_ = socket;
      await new Promise((resolve, reject) => {
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data);
          window.frames_.push(frame);
          if (frame.type === 'connection_established') {
            socket.send(JSON.stringify({ type: 'subscribe', payload: { channel: 'chat:zip' } }));
          }
          if (frame.type === 'subscribed') resolve();
        };
        socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
      });
      return socket.extensions;
    });
    assert.match(extensions, /^permessage-deflate/);
    const data = JSON.stringify({ text });
    assert.equal((await post(node, 'chat:zip', data)).status, 202);
    const got = () => page.evaluate(() => window.frames_.filter(({ type }) => type === 'event').map(({ payload }) => payload.data.text));
    await page.waitForFunction(() => window.frames_.some(({ type }) => type === 'event'));
    assert.deepEqual(await got(), [text]);
    await page.evaluate((sent) => window.socket_.send(JSON.stringify({ type: 'publish', payload: { channel: 'chat:zip', data: { text: sent } } })), text);
    await page.waitForFunction(() => window.frames_.filter(({ type }) => type === 'event').length === 2);
    assert.deepEqual(await got(), [text, text]);
    const now = await status();
    assert.ok(now.out.raw - first.out.raw >= 2 * data.length, 'the events went compressed');
    assert.ok(now.in.raw - first.in.raw >= data.length, 'and what the page published came so');
    assert.ok(now.out.compressed - first.out.compressed < (now.out.raw - first.out.raw) / 2);
  } finally {
    await browser.close();
    await demo.stop();
  }
});

test('a client that compresses and one that does not get the same events', async () => {
  const demo = await startNodes();
  try {
    const [withIt, without] = demo.nodes; // demo-a compresses
    const [ada, bob] = await Promise.all([Client.connect(withIt, 'Ada'), Client.connect(without, 'Bob')]);
    assert.match(ada.socket.extensions, /permessage-deflate/);
    assert.equal(bob.socket.extensions, '');
    await Promise.all([ada.subscribe('chat:zip'), bob.subscribe('chat:zip')]);
    for (const size of [10, 300, 5_000, 50_000]) {
      const text = words(size, size);
      await ada.ask('publish', { channel: 'chat:zip', data: text });
      for (const client of [ada, bob]) assert.equal((await client.next('event')).payload.data, text);
    }
    await Promise.all([ada.close(), bob.close()]);
  } finally {
    await demo.stop();
  }
});
