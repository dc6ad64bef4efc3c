// The demo's pages in Chromium, as a person uses them.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { build, tree } from './nodes.mjs';

export const phone = { width: 390, height: 844 };
const screenshots = path.join(build, 'screenshots');

/**
 * A page of the demo, whose errors and requests to hosts that are no node of it are collected in `faults`. `address` is a node's, or
 * that of a page on it.
 */
export async function visit(browser, demo, address, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.faults.push(message.text());
  });
  const hosts = demo.nodes.map((node) => new URL(node).host);
  page.on('request', (request) => {
    if (!hosts.includes(new URL(request.url()).host)) page.faults.push(`asked ${request.url()}`);
  });
  await page.goto(String(address));
  return page;
}

/** Until its script has run, a page empties the form and doesn't take it; the last that it does before is to look at the name. */
export async function atTheDoor(page) {
  await page.waitForFunction(() => document.activeElement?.id === 'name');
}

export async function join(page, name, room) {
  await atTheDoor(page);
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('Room', { exact: true }).fill(room);
  await page.getByRole('button', { name: 'Join' }).click();
  await page.locator('#status[data-state=open]').waitFor();
  await page.getByText(`You are in chat:${room}.`).waitFor();
}

export async function say(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

/** Waits for a message with exactly this text; resolves with its author. */
export async function hear(page, text, kind = 'theirs') {
  const message = page.locator(`.message.${kind}:not(.on-its-way)`).filter({ has: page.getByText(text, { exact: true }) });
  await message.waitFor();
  assert.equal(await message.count(), 1);
  return message.getAttribute('data-author');
}

/** Names of who is here, as the page shows them. */
export function members(page) {
  return page.locator('#members li').allTextContents();
}

/**
 * Takes a screenshot to look at, in build/screenshots. `shown` is its name in docs/, for those that a document shows:
 * WEFT_SCREENSHOTS=docs (make screenshots) writes it there, too.
 */
export async function picture(page, name, shown = '') {
  fs.mkdirSync(screenshots, { recursive: true });
  const file = path.join(screenshots, `${name}.png`);
  await page.screenshot({ path: file });
  if (!shown) return;
  assert.ok(fs.statSync(file).size < 150_000, `${name} is small enough for a document`);
  if (process.env.WEFT_SCREENSHOTS === 'docs') fs.copyFileSync(file, path.join(tree, 'docs', shown));
}
