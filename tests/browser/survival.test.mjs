// A node is killed under two pages that chat, and the other one after it: nobody loses anything or gets it twice.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium } from './chromium.mjs';
import { ready, startMortalNodes } from './nodes.mjs';
import { join, members, picture, say, hear, visit } from './pages.mjs';

let demo, browser;
before(async () => {
  demo = await startMortalNodes();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** Types and sends these, one after the other, as fast as a person would with ten hands. */
function chatter(page, texts) {
  return page.evaluate(async (lines) => {
    for (const line of lines) {
      document.getElementById('text').value = line;
      document.getElementById('say').requestSubmit();
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }, texts);
}

const numbered = (who, from, to) => Array.from({ length: to - from }, (_, i) => `${who} ${from + i}`);

/** Waits until the page has shown the last of these, and nothing is on its way; then compares all that it shows. */
async function assertHas(page, ...said) {
  for (const texts of said) await page.locator('.message .text').getByText(texts.at(-1), { exact: true }).waitFor();
  await page.waitForFunction(() => !document.querySelector('.on-its-way'));
  const shown = await page.locator('.message .text').allTextContents();
  for (const texts of said) {
    const who = texts[0].split(' ')[0];
    assert.deepEqual(shown.filter((text) => text.startsWith(`${who} `)), texts, `${who}'s, each once and in order`);
  }
  assert.equal(shown.length, said.flat().length);
}

async function servedBy(page, node) {
  await page.locator('#node').getByText(node, { exact: true }).waitFor();
  await page.locator('#status[data-state=open]').waitFor();
}

test('two pages go on chatting when the node of one is killed, and then the other node', { timeout: 180_000 }, async () => {
  const ada = await visit(browser, demo, demo.nodes[0]);
  const bob = await visit(browser, demo, demo.nodes[1]);
  await join(ada, 'Ada', 'storm');
  await join(bob, 'Bob', 'storm');
  await bob.locator('#members li').nth(1).waitFor();

  let talking = Promise.all([chatter(ada, numbered('ada', 0, 60)), chatter(bob, numbered('bob', 0, 60))]);
  await bob.getByText('ada 20', { exact: true }).waitFor();
  const killed = demo.kill('A');
  await talking;
  await servedBy(ada, 'demo-b');
  for (const page of [ada, bob]) await assertHas(page, numbered('ada', 0, 60), numbered('bob', 0, 60));

  await killed.back;
  await ready(demo.nodes[0]);
  talking = Promise.all([chatter(ada, numbered('ada', 60, 90)), chatter(bob, numbered('bob', 60, 90))]);
  await bob.getByText('ada 70', { exact: true }).waitFor();
  const { back } = demo.kill('B');
  await talking;
  for (const page of [ada, bob]) {
    await servedBy(page, 'demo-a');
    await assertHas(page, numbered('ada', 0, 90), numbered('bob', 0, 90));
    assert.equal(await page.getByText('has left').count(), 0);
    assert.equal(await page.getByText('may be missing').count(), 0);
  }

  await test('a page that comes now is shown the same', async () => {
    const eve = await visit(browser, demo, demo.nodes[0]);
    await join(eve, 'Eve', 'storm');
    await assertHas(eve, numbered('ada', 0, 90), numbered('bob', 0, 90));
    await eve.locator('#members li').nth(2).waitFor();
    assert.deepEqual(await members(eve), ['Ada', 'Bob', 'Eve (you)']);
    await eve.context().close();
  });
  await back;
  await ready(demo.nodes[1]);
  await ada.context().close();
  await bob.context().close();
});

test('what is said while a node dies is there when the page is back', { timeout: 120_000 }, async () => {
  const ada = await visit(browser, demo, demo.nodes[0], { viewport: { width: 1100, height: 640 } });
  const bob = await visit(browser, demo, demo.nodes[1]);
  await join(ada, 'Ada', 'lobby');
  await join(bob, 'Ben', 'lobby'); // not Bob, who may still be taken for a member that is soon back
  await ada.getByLabel('Another room').fill('deploys');
  await ada.getByLabel('Another room').press('Enter');
  await ada.getByText('You are in chat:deploys.').waitFor();
  await ada.getByRole('button', { name: 'lobby' }).click();
  await ada.getByText('Ben is here.').waitFor();
  await say(ada, 'I am on node A. Kill it, please.');
  await hear(bob, 'I am on node A. Kill it, please.');
  const { back } = demo.kill('A');
  await ada.getByText(/^Connection lost/).waitFor();
  await say(bob, 'Done. You should not have noticed more than a line.');
  await hear(ada, 'Done. You should not have noticed more than a line.');
  await say(ada, 'And I go on, on node B.');
  assert.equal(await hear(bob, 'And I go on, on node B.'), 'Ada');
  await servedBy(ada, 'demo-b');
  await bob.getByLabel('Message', { exact: true }).pressSequentially('So it');
  await ada.getByText('Ben is typing…').waitFor();
  await picture(ada, 'survival', 'demo-chat.png');
  assert.equal(await ada.getByRole('link', { name: 'other node' }).getAttribute('href'), `${demo.nodes[0]}#lobby`);
  assert.equal(await ada.getByRole('link', { name: 'Status' }).getAttribute('href'), `${demo.nodes[1]}status.html`);
  await back;
  await ada.context().close();
  await bob.context().close();
});
