// The demo's pages of figures: the ticker and the status page.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium } from './chromium.mjs';
import { ready, startMortalNodes } from './nodes.mjs';
import { join, phone, picture, say, visit } from './pages.mjs';

const desktop = { width: 900, height: 700 };
// For pictures that a document shows, lines that have had time to grow.
const growing = process.env.WEFT_SCREENSHOTS === 'docs' ? 15_000 : 0;
let demo, browser;
before(async () => {
  demo = await startMortalNodes();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

const at = (node, page) => new URL(page, demo.nodes[node]);
const published = async (node) => (await (await fetch(at(node, 'weft/status'))).json()).publications.in;

/** Whether anything is drawn on a canvas in a colour of the style sheet. */
function drawn(page, canvas, name) {
  return page.waitForFunction(
    ([id, variable]) => {
      const source = document.getElementById(id);
      if (source.width === 0) return false;
      const probe = document.createElement('canvas').getContext('2d');
      probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(variable);
      probe.fillRect(0, 0, 1, 1);
      const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
      const { data } = source.getContext('2d').getImageData(0, 0, source.width, source.height);
      for (let i = 0; i < data.length; i += 4) {
        if (data[i] === red && data[i + 1] === green && data[i + 2] === blue && data[i + 3] === 255) return true;
      }
      return false;
    },
    [canvas, `--${name}`],
  );
}

/** Waits until the figure is another one. */
async function changes(locator) {
  const before = await locator.textContent();
  await locator.page().waitForFunction(([element, text]) => element.textContent !== text, [await locator.elementHandle(), before]);
}

test('the ticker shows 20 prices on either node, and another node when its own is killed', { timeout: 240_000 }, async () => {
  assert.equal(await published(0), 0, 'nothing is published while nobody watches');
  const first = await visit(browser, demo, at(0, 'ticker.html'), { viewport: desktop });
  const second = await visit(browser, demo, at(1, 'ticker.html'), { viewport: phone, isMobile: true, hasTouch: true });
  for (const page of [first, second]) {
    await page.locator('.price').nth(19).waitFor(); // the page is loaded before its script has asked where the nodes are
    assert.equal(await page.locator('.price').count(), 20);
    await page.waitForFunction(() => [...document.querySelectorAll('.price .value')].every(({ textContent }) => /^\d+\.\d\d$/.test(textContent)));
    await page.waitForFunction(() => Number(document.getElementById('rate').textContent) > 20);
    await changes(page.locator('.price[aria-pressed=true] .value'));
    await drawn(page, 'chart', 'accent');
  }
  assert.ok((await published(0)) > 20);

  await test('a price is chosen by the keyboard', async () => {
    await first.getByRole('button', { name: 'KNIT' }).focus();
    await first.keyboard.press('Enter');
    await first.getByRole('button', { name: 'KNIT', pressed: true }).waitFor();
    assert.equal(await first.locator('#chosen').textContent(), 'KNIT');
    assert.equal(await first.locator('.price[aria-pressed=true]').count(), 1);
  });
  await new Promise((resolve) => setTimeout(resolve, growing));
  await first.evaluate(() => {
    document.activeElement.blur();
    document.querySelector('main').scrollTop = 0;
  });
  await picture(first, 'ticker-desktop', 'demo-ticker.png');
  await picture(second, 'ticker-phone');
  await first.emulateMedia({ colorScheme: 'dark' });
  await drawn(first, 'chart', 'accent');
  await picture(first, 'ticker-desktop-dark');
  assert.deepEqual([...first.faults, ...second.faults], []);

  await test('it can be paused', async () => {
    await second.getByRole('button', { name: 'Pause' }).click();
    await second.getByText('paused', { exact: true }).waitFor();
    await second.locator('#rate').getByText(/^0$/).waitFor();
    await second.getByRole('button', { name: 'Pause' }).click();
    await changes(second.locator('.price[aria-pressed=true] .value'));
  });

  const { back } = demo.kill('A');
  await first.locator('#node').getByText('demo-b', { exact: true }).waitFor();
  for (const page of [first, second]) {
    await changes(page.locator('.price[aria-pressed=true] .value'));
  }
  await back;
  await ready(demo.nodes[0]);
  await first.context().close();
  await second.context().close();
});

test('the status page shows what both nodes do, and that one is down', { timeout: 240_000 }, async () => {
  const ada = await visit(browser, demo, demo.nodes[1]);
  await join(ada, 'Ada', 'figures');
  await say(ada, 'Count me.');
  const ticker = await visit(browser, demo, at(0, 'ticker.html'));
  const page = await visit(browser, demo, at(0, 'status.html'), { viewport: desktop });
  await page.getByText('2 of 2 nodes ready').waitFor();

  assert.deepEqual(await page.locator('#names th').allTextContents(), ['demo-a', 'demo-b']);
  const cell = (title, column) => page.getByRole('row', { name: title }).locator('td').nth(column);
  const shows = (title, column, text) => cell(title, column).getByText(text).waitFor();
  for (const column of [0, 1]) {
    await shows('State', column, /^ready$/);
    await shows('Connections', column, /^1$/);
    await shows('Workers linked', column, '2 of 2');
    await shows('Peers linked', column, '1 of 1');
    await shows('History', column, /^[1-9][\d.]* (B|KiB) of 256\.0 MiB$/);
  }
  await shows('Subscriptions', 1, /^1$/);
  await shows('Subscriptions', 0, /^20$/);
  await shows('Deliveries/s', 0, /^[1-9][\d,]*$/);
  for (const canvas of ['deliveries', 'connections']) for (const colour of ['accent', 'other']) await drawn(page, canvas, colour);
  assert.deepEqual(page.faults, []);
  await new Promise((resolve) => setTimeout(resolve, growing));
  await picture(page, 'status-desktop', 'demo-status.png');
  await page.setViewportSize(phone);
  await picture(page, 'status-phone');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'status-phone-dark');

  const { back } = demo.kill('B');
  await page.getByText('1 of 2 nodes ready').waitFor();
  await shows('State', 1, /^down$/);
  await shows('Connections', 1, /^–$/);
  await back;
  await page.getByText('2 of 2 nodes ready').waitFor();
  for (const one of [ada, ticker, page]) await one.context().close();
});

test('the three pages lead to each other, and every control has a name', async () => {
  const page = await visit(browser, demo, demo.nodes[0], { viewport: phone });
  for (const [name, title] of [['Ticker', 'Weft demo: ticker'], ['Status', 'Weft demo: status'], ['Chat', 'Weft demo']]) {
    await page.getByRole('link', { name, exact: true }).click();
    await page.waitForFunction((expected) => document.title === expected, title);
    await page.locator(`a[aria-current=page]`).getByText(name, { exact: true }).waitFor();
    const { nameless, wide } = await page.evaluate(() => ({
      nameless: [...document.querySelectorAll('button, input, a, canvas, [role=img], [role=region]')]
        .filter((one) => !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length))
        .map((one) => one.outerHTML),
      wide: document.documentElement.scrollWidth > innerWidth,
    }));
    assert.deepEqual(nameless, [], `${name}: controls without a name`);
    assert.equal(wide, false, `${name} fits a phone`);
  }
  assert.deepEqual(page.faults, []);
  await page.context().close();
});
