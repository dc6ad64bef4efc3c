// EventSource in Chromium and in Node, and clients of ten lines, through the doors of docs/streams.md. Two nodes, as in the
// demo, with doors added.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import WebSocket from 'ws';

import { launchChromium } from './chromium.mjs';
import { post, startNodes, ticketFor, tree } from './nodes.mjs';

let templates, nodes, browser;

before(async () => {
  templates = fs.mkdtempSync(path.join(os.tmpdir(), 'weft-doors-'));
  fs.cpSync(path.join(tree, 'demo'), templates, { recursive: true });
  const file = path.join(templates, 'nginx.conf.in');
  const doors = `
        location = /events { weft_sse; weft_ticket key=@KEY@; weft_origin http://127.0.0.1:@PORT_A@ http://127.0.0.1:@PORT_B@; }
        location = /lobby { weft_websocket; weft_ticket key=@KEY@; weft_subscribe chat:$arg_room; weft_publish_raw on; }
        location = /weft/status`;
  const text = fs.readFileSync(file, 'utf8')
    .replace(/weft_channel chat:\*.*/, 'weft_channel chat:* { publish on; history 1000 10m; }\n    weft_drain 2s;\n    weft_reload drain;')
    .replace('location = /weft/status', doors.trim());
  assert.match(text, /weft_drain/);
  assert.match(text, /weft_sse/);
  fs.writeFileSync(file, text);
  nodes = await startNodes(templates);
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await nodes?.stop();
  fs.rmSync(templates, { recursive: true, force: true });
});

const eventually = async (what, condition, seconds = 30) => {
  for (const until = Date.now() + seconds * 1000; Date.now() < until; await sleep(50)) {
    if (await condition()) return;
  }
  assert.fail(`waited in vain: ${what}`);
};

/** In a page or in Node: an EventSource that notes what happens to it in `seen`. */
const listen = `(url) => {
  const seen = { data: [], ids: [], opened: 0, subscribed: 0, lost: 0 };
  const source = new EventSource(url);
  source.onopen = () => { seen.opened += 1; };
  source.onmessage = ({ data, lastEventId }) => {
    seen.data.push(JSON.parse(data).payload.data);
    seen.ids.push(lastEventId);
  };
  source.addEventListener('subscribed', ({ data }) => {
    seen.subscribed += 1;
    if (seen.opened > 1 && !JSON.parse(data).payload.recovered) seen.lost += 1;
  });
  seen.source = source;
  return seen;
}`;

/** Publishes at the other node without a pause, while this one's connections are cut; returns how much. */
async function publishWhile(channel, cut) {
  const [, there] = nodes.nodes;
  let count = 0;
  let going = true;
  const publishing = (async () => {
    while (going) {
      const answer = await post(there, channel, JSON.stringify(++count));
      assert.equal(answer.status, 202);
      await sleep(10);
    }
  })();
  await sleep(300);
  await cut();
  await sleep(300);
  going = false;
  await publishing;
  return count;
}

const reload = () => process.kill(Number(fs.readFileSync(path.join(nodes.state, 'a', 'nginx.pid'), 'utf8')), 'SIGHUP');
const upTo = (count) => Array.from({ length: count }, (_, i) => i + 1);

test('an EventSource in Chromium comes back by itself after a reload, and has lost nothing', async () => {
  const [here] = nodes.nodes;
  const ticket = await ticketFor(here, 'ann');
  const page = await (await browser.newContext()).newPage();
  await page.goto(here);
  await page.evaluate(`window.seen = (${listen})('/events?channel=chat:page&channel=chat:other&ticket=${ticket}')`);
  await page.waitForFunction(() => window.seen.subscribed === 2);  // it is open before it is in its channels
  const count = await publishWhile('chat:page', async () => {
    reload();
    await page.waitForFunction(() => window.seen.opened >= 2, undefined, { timeout: 30_000 });
  });
  await page.waitForFunction((last) => window.seen.data.includes(last), count);
  const seen = await page.evaluate(() => ({ data: window.seen.data, ids: window.seen.ids, lost: window.seen.lost }));
  assert.deepEqual(seen.data, upTo(count));
  assert.equal(seen.lost, 0);
  assert.match(seen.ids.at(-1), /^chat:page=\S+,chat:other=/);
  await page.evaluate(() => window.seen.source.close());
});

test('an EventSource in Node does, too', async (context) => {
  const [here] = nodes.nodes;
  const ticket = await ticketFor(here, 'bob');
  const url = new URL(`events?channel=chat:node&ticket=${ticket}`, here);
  const program = `
    if (typeof EventSource === 'undefined') { console.log('none'); process.exit(0); }
    const seen = (${listen})(${JSON.stringify(String(url))});
    setInterval(() => { const { source, ...rest } = seen; console.log(JSON.stringify(rest)); }, 100);`;
  const options = ['--no-warnings', '--experimental-eventsource', '-e', program];
  const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'ignore'] });
  let seen = { data: [], opened: 0, subscribed: 0 };
  let none = false;
  let rest = '';
  child.stdout.on('data', (bytes) => {
    const lines = (rest + bytes).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line === 'none') none = true;
      else seen = JSON.parse(line);
    }
  });
  // A Node that doesn't know the option ends at once.
  const exited = new Promise((resolve) => {
    child.once('close', () => {
      none ||= seen.opened === 0;
      resolve();
    });
  });
  try {
    await eventually('it connects', () => none || seen.subscribed === 1);
    if (none) return context.skip('this Node has no EventSource');
    const count = await publishWhile('chat:node', async () => {
      reload();
      await eventually('it comes back', () => seen.opened >= 2);
    });
    await eventually('the last one', () => seen.data.includes(count));
    assert.deepEqual(seen.data, upTo(count));
    assert.equal(seen.lost, 0);
  } finally {
    child.kill();
    await exited;
  }
});

test('clients that know nothing of frames chat, in Node and in a page', async () => {
  const [here, there] = nodes.nodes;
  const address = async (node, name) => {
    const url = new URL(`lobby?room=plain&ticket=${await ticketFor(node, name)}`, node);
    url.protocol = 'ws:';
    return String(url);
  };
  const heard = [];
  const socket = new WebSocket(await address(there, 'ann'));
  socket.on('open', () => socket.send('hello from Node'));
  socket.on('message', (text) => heard.push(String(text)));
  await eventually('it hears itself', () => heard.length === 1);
  const page = await (await browser.newContext()).newPage();
  await page.goto(here);
  await page.evaluate((url) => {
    window.heard = [];
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send('hello from a page');
    socket.onmessage = ({ data }) => window.heard.push(data);
  }, await address(here, 'bob'));
  await eventually('it hears the page', () => heard.length === 2);
  socket.send('{"type":"publish"}');
  await page.waitForFunction(() => window.heard.length === 2);
  assert.deepEqual(await page.evaluate(() => window.heard), ['hello from a page', '{"type":"publish"}']);
  await eventually('and itself', () => heard.length === 3);
  assert.deepEqual(heard, ['hello from Node', 'hello from a page', '{"type":"publish"}']);
  socket.close();
});
