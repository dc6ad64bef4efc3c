// The demo in Chromium: one page on each of two nodes, talking to each other.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { launchChromium } from './chromium.mjs';
import { post, startNodes } from './nodes.mjs';
import { atTheDoor, hear, join, members, phone, picture, say, visit } from './pages.mjs';

let demo, browser;

before(async () => {
  demo = await startNodes();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

test('two pages on two nodes talk to each other', async () => {
  const ada = await visit(browser, demo, demo.nodes[0]);
  const bob = await visit(browser, demo, demo.nodes[1], { viewport: phone, isMobile: true, hasTouch: true });
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

test('who joins is shown what was said before, and who is here', async () => {
  const ada = await visit(browser, demo, demo.nodes[0]);
  await join(ada, 'Ada', 'library');
  await ada.getByText('You are in chat:library.').waitFor();
  await ada.locator('#members li').waitFor(); // a node that has just started tells of nobody before it knows all
  for (const text of ['one', 'two', 'three']) await say(ada, text);
  await hear(ada, 'three', 'mine');

  const bob = await visit(browser, demo, demo.nodes[1]);
  await join(bob, 'Bob', 'library');
  await hear(bob, 'three'); // it may reach the other node later than Bob
  assert.deepEqual(await bob.locator('.message .text').allTextContents(), ['one', 'two', 'three']);
  await ada.getByText('Bob is here.').waitFor();
  await bob.locator('#members li').nth(1).waitFor();
  assert.deepEqual(await members(ada), ['Ada (you)', 'Bob']);
  assert.deepEqual(await members(bob), ['Ada', 'Bob (you)']);

  await bob.context().close();
  await ada.getByText('Bob has left.').waitFor();
  assert.deepEqual(await members(ada), ['Ada (you)']);
  assert.deepEqual(ada.faults, []);
  await ada.context().close();
});

test('one page is in several rooms, and counts what it has not shown yet', async () => {
  const ada = await visit(browser, demo, demo.nodes[0]);
  const bob = await visit(browser, demo, demo.nodes[1]);
  await join(ada, 'Ada', 'north');
  await join(bob, 'Bob', 'south');
  await ada.getByLabel('Another room').fill('south');
  await ada.getByLabel('Another room').press('Enter');
  await ada.getByText('You are in chat:south.').waitFor();
  await ada.getByRole('button', { name: 'north' }).click();
  await say(bob, 'Is it cold up there?');
  await say(bob, 'It is raining here.');
  await ada.getByRole('button', { name: 'south 2 unread' }).waitFor();
  assert.equal(await ada.locator('.message').count(), 0);

  await ada.getByRole('button', { name: 'south' }).click();
  assert.equal(await hear(ada, 'It is raining here.'), 'Bob');
  await ada.getByRole('button', { name: 'south', exact: true }).waitFor();
  await say(ada, 'Snow.');
  assert.equal(await hear(bob, 'Snow.'), 'Ada');

  await ada.getByRole('button', { name: 'Leave' }).click();
  await bob.getByText('Ada has left.').waitFor();
  assert.deepEqual(await ada.locator('#rooms li').allTextContents(), ['north']);
  assert.deepEqual([...ada.faults, ...bob.faults], []);
  await ada.context().close();
  await bob.context().close();
});

test('markup in names and messages stays text', async () => {
  const ada = await visit(browser, demo, demo.nodes[0]);
  const eve = await visit(browser, demo, demo.nodes[1]);
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
  const ada = await visit(browser, demo, demo.nodes[0]);
  const bob = await visit(browser, demo, demo.nodes[1]);
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
  const page = await visit(browser, demo, demo.nodes[0]);
  await atTheDoor(page);
  await page.getByLabel('Your name').fill('Bell\u0007');
  await page.getByRole('button', { name: 'Join' }).click();
  await page.getByRole('alert').filter({ hasText: 'control character' }).waitFor();
  await page.context().close();
});
