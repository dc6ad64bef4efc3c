// The examples of docs/sdk.md and of the README are of the right types, and do what they say; and the page is complete.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { transform } from 'esbuild';
import { describe, expect, onTestFinished, test } from 'vitest';
import WebSocket from 'ws';

import * as weft from '../src/index.js';
import { socketUrl, ticketFor } from './support.js';

const here = path.resolve(__dirname, '..');
const read = (file: string) => fs.readFileSync(path.join(here, file), 'utf8');
const page = read('../../docs/sdk.md');
const readme = read('README.md');
const blocks = (text: string, language: string) => [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter((match) => match[1] === language).map((match) => match[2]!);

/** Runs examples one after the other as one program, and returns what it logged once `done` says that it is enough. */
async function run(source: string, done: (logged: string[]) => boolean): Promise<string[]> {
  const { code } = await transform(source, { loader: 'ts', target: 'es2022' });
  // Imports become constants, and the names of the outside world those of this test.
  const body = code.replace(/^import WebSocket from "ws";$/gm, '').replace(/^import \{([^}]*)\} from "weft-client";$/gm, 'const {$1} = weft;');
  const logged: string[] = [];
  const clients: weft.WeftClient[] = [];
  class WeftClient extends weft.WeftClient {
    constructor(url: string, options: weft.ClientOptions) {
      expect(url).toBe('wss://example.com/ws');
      super(socketUrl(0), { WebSocket, ...options });
      clients.push(this);
    }
  }
  onTestFinished(() => clients.forEach((client) => client.disconnect()));
  const console = { log: (...words: unknown[]) => logged.push(words.join(' ')) };
  const fetch = async () => Response.json({ ticket: ticketFor('Ada') });
  const getTicket = () => ticketFor('Ada');
  const names = { weft: { ...weft, WeftClient }, console, fetch, WebSocket, globalThis: { WebSocket }, ...(source.includes('function getTicket') ? {} : { getTicket }) };
  const AsyncFunction = async function () {}.constructor as FunctionConstructor;
  await new AsyncFunction(...Object.keys(names), body)(...Object.values(names));
  while (!done(logged)) await new Promise((resolve) => setTimeout(resolve, 10));
  return logged;
}

describe('the examples', () => {
  test('of docs/sdk.md run', async () => {
    const logged = await run(blocks(page, 'ts').join('\n'), (lines) => lines.includes('Ada is typing'));
    for (const line of ['Ada: Hello', 'Ada: again', 'echo 1', 'order-42 true', 'members Ada', 'history 0', 'no such channel', 'got connection_established']) {
      expect(logged).toContain(line);
    }
  });

  test('for Node 20, and for where WebSocket does not get through, run', async () => {
    const [node20, fallback] = blocks(page, 'js');
    await run(node20!, () => true);
    const without = fallback!.replaceAll(/'\/(events|poll|publish)'/g, "'$1'").replace('fallback:', "transports: ['sse'], fallback:");
    expect(await run(without, () => true)).toEqual(['by sse']);
  });

  test('of the READMEs run', async () => {
    const [main] = blocks(read('../../README.md'), 'js').filter((block) => block.includes('WeftClient'));
    for (const source of [blocks(readme, 'ts').join('\n'), main!]) await run(source, (lines) => lines.includes('Hello'));
  });

  test('are of the right types', () => {
    const folder = path.join(here, 'dist/docs');
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'sdk.ts'), blocks(page, 'ts').join('\n'));
    fs.writeFileSync(path.join(folder, 'readme.ts'), blocks(readme, 'ts').join('\n'));
    const options = '--module nodenext --strict --noEmit --skipLibCheck --target es2022 --lib es2022,dom,dom.iterable'.split(' ');
    execFileSync(path.join(here, 'node_modules/.bin/tsc'), [...options, path.join(folder, 'sdk.ts'), path.join(folder, 'readme.ts')], { encoding: 'utf8' });
  });
});

describe('docs/sdk.md names every', () => {
  const section = (title: string) => page.split(/^## /m).find((text) => text.startsWith(`${title}\n`))!;
  const members = (file: string, name: string) => {
    const [, body] = read(`src/${file}.ts`).match(new RegExp(`export interface ${name}(?:<[^{]*>)? (?:extends \\w+ )?{\\n([\\s\\S]*?)^}`, 'm'))!;
    return [...body!.matchAll(/^ {2}(\w+)\??:/gm)].map((match) => match[1]!);
  };
  const methods = (file: string) => [...read(`dist/esm/${file}.d.ts`).matchAll(/^ {4}(?:get |readonly )?(\w+)(?:<[^(]*>)?[(:]/gm)].map((match) => match[1]!).filter((name) => name !== 'constructor');

  test.each([
    ['option of a client', 'WeftClient', members('options', 'ClientOptions')],
    ['event of a client', 'WeftClient', members('options', 'ClientEvents')],
    ['member of a client', 'WeftClient', methods('client').filter((name) => !members('options', 'ClientOptions').includes(name))],
    ['option of a channel', 'Channel', members('options', 'ChannelOptions')],
    ['event of a channel', 'Channel', members('options', 'ChannelEvents')],
    ['member of a channel', 'Channel', methods('channel')],
    ['option of a call', 'WeftClient', [...members('options', 'CallOptions'), ...members('options', 'PublishOptions'), ...members('options', 'PageOptions')]],
    ['reason of its own', 'Errors', [...read('src/errors.ts').matchAll(/^ {2}\| '(\w+)'/gm)].map((match) => match[1]!)],
  ])('%s', (_, title, names) => {
    expect(names.length).toBeGreaterThan(1);
    for (const name of names) expect(section(title)).toMatch(new RegExp('`' + name + '[`(]'));
  });
});
