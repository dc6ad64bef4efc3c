// The demo in Chromium: one page on each of two nodes, talking to each other.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { launchChromium } from './chromium.mjs';
import { build, post, startNodes } from './nodes.mjs';

const screenshots = path.join(build, 'screenshots');
const phone = { width: 390, height: 844 };
let demo, browser;

before(async () => {
  fs.mkdirSync(screenshots, { recursive: true });
  demo = await startNodes();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** A page on a node, whose errors and requests to other hosts are collected in `faults`. */
async function visit(node, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.faults.push(message.text());
  });
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(node).host) page.faults.push(`asked ${request.url()}`);
  });
  await page.goto(node);
  return page;
}

async function join(page, name, room) {
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('Room', { exact: true }).fill(room);
  await page.getByRole('button', { name: 'Join' }).click();
  await page.locator('#status[data-state=open]').waitFor();
  await page.getByText(`You are in chat:${room}.`).waitFor();
}

async function say(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

/** Waits for a message with exactly this text; resolves with its author. */
async function hear(page, text, kind = 'theirs') {
  const message = page.locator(`.message.${kind}:not(.on-its-way)`).filter({ has: page.getByText(text, { exact: true }) });
  await message.waitFor();
  assert.equal(await message.count(), 1);
  return message.getAttribute('data-author');
}

async function picture(page, name) {
  await page.screenshot({ path: path.join(screenshots, `${name}.png`) });
}

test('two pages on two nodes talk to each other', async () => {
  const ada = await visit(demo.nodes[0]);
  const bob = await visit(demo.nodes[1], { viewport: phone, isMobile: true, hasTouch: true });
  await picture(ada, 'join-desktop');
  await picture(bob, 'join-phone');
  await join(ada, 'Ada', 'tea');
  await join(bob, 'Bob', 'tea');

  await test('each page shows the node that serves it', async () => {
    const served = await Promise.all([ada, bob].map((page) => page.locator('#node').textContent()));
    assert.deepEqual(served, ['demo-a', 'demo-b']);
  });

  await ada.getByLabel('Message', { exact: true }).pressSequentially('Is anybody th');
  await bob.getByText('Ada is typing…').waitFor();
  await picture(bob, 'typing-phone');
  await say(ada, 'Is anybody there?');
  assert.equal(await hear(bob, 'Is anybody there?'), 'Ada');
  assert.equal(await hear(ada, 'Is anybody there?', 'mine'), 'Ada');
  await bob.locator('#typing:empty').waitFor({ state: 'attached' });

  await say(bob, 'Yes, on the other node. 你好 👋');
  assert.equal(await hear(ada, 'Yes, on the other node. 你好 👋'), 'Bob');

  const answer = await post(demo.nodes[0], 'chat:tea', '{"text":"The kettle boils."}');
  assert.equal(answer.status, 202);
  for (const page of [ada, bob]) assert.equal(await hear(page, 'The kettle boils.'), 'back end');

  await say(ada, 'Then let us have some. I have been waiting for the water since the last deploy, and it has kept all its promises.');
  await hear(bob, 'Then let us have some. I have been waiting for the water since the last deploy, and it has kept all its promises.');
  for (const page of [ada, bob]) await page.getByText(/^\d+(\.\d)? ms$/).waitFor();
  await picture(ada, 'chat-desktop');
  await picture(bob, 'chat-phone');
  await ada.emulateMedia({ colorScheme: 'dark' });
  await picture(ada, 'chat-desktop-dark');
  await bob.emulateMedia({ colorScheme: 'dark' });
  await picture(bob, 'chat-phone-dark');

  const elsewhere = await ada.getByRole('link', { name: 'other node' }).getAttribute('href');
  assert.equal(elsewhere, `${demo.nodes[1]}#tea`);
  assert.deepEqual([...ada.faults, ...bob.faults], []);
  await ada.context().close();
  await bob.context().close();
});

test('markup in names and messages stays text', async () => {
  const ada = await visit(demo.nodes[0]);
  const eve = await visit(demo.nodes[1]);
  await join(ada, 'Ada', 'markup');
  await join(eve, '<b onclick=alert(1)>Eve</b>', 'markup');
  const attack = '<img src=x onerror="document.title=\'taken\'"><script>document.title="taken"</script>';
  await say(eve, attack);
  assert.equal(await hear(ada, attack), '<b onclick=alert(1)>Eve</b>');
  assert.equal(await ada.locator('#log img, #log script, #log b').count(), 0);
  assert.equal(await ada.title(), 'Weft demo');
  assert.deepEqual([...ada.faults, ...eve.faults], []);
  await ada.context().close();
  await eve.context().close();
});

test('a page whose nginx worker is killed comes back by itself and goes on', async () => {
  const ada = await visit(demo.nodes[0]);
  const bob = await visit(demo.nodes[1]);
  await join(ada, 'Ada', 'crash');
  await join(bob, 'Bob', 'crash');

  const master = Number(fs.readFileSync(path.join(demo.state, 'a/nginx.pid'), 'utf8'));
  const workers = execFileSync('ps', ['-o', 'pid=', '--ppid', String(master)], { encoding: 'utf8' });
  for (const pid of workers.trim().split(/\s+/)) process.kill(Number(pid), 'SIGKILL');

  await ada.getByText(/^Connection lost/).waitFor();
  await ada.getByText(/^Back/).waitFor();
  await ada.locator('#status[data-state=open]').waitFor();
  await say(bob, 'Are you back?');
  assert.equal(await hear(ada, 'Are you back?'), 'Bob');
  await say(ada, 'I am.');
  assert.equal(await hear(bob, 'I am.'), 'Ada');
  await ada.context().close();
  await bob.context().close();
});

test('a name that the ticket endpoint refuses is told on the form', async () => {
  const page = await visit(demo.nodes[0]);
  await page.getByLabel('Your name').fill('Bell\u0007');
  await page.getByRole('button', { name: 'Join' }).click();
  await page.getByRole('alert').filter({ hasText: 'control character' }).waitFor();
  await page.context().close();
});
