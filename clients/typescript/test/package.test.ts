// What is published: dist/, as bundlers, Node and TypeScript take it.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

import { expect, onTestFinished, test } from 'vitest';

const here = path.resolve(__dirname, '..');
const SIZE_LIMIT = 12_000; // bytes, gzipped

/** A folder of a user of the package, which lies in its node_modules. */
function user(files: Record<string, string>): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weft-user.'));
  onTestFinished(() => fs.rmSync(folder, { recursive: true }));
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(here, path.join(folder, 'node_modules/weft-client'));
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), text);
  return folder;
}

test(`the minified module has less than ${SIZE_LIMIT} bytes gzipped, and no dependency`, () => {
  const bundle = fs.readFileSync(path.join(here, 'dist/weft-client.min.js'));
  expect(gzipSync(bundle, { level: 9 }).length).toBeLessThan(SIZE_LIMIT);
  expect(bundle.toString()).not.toMatch(/\bimport\s*[{*"'(]|\brequire\(/);
  const manifest = JSON.parse(fs.readFileSync(path.join(here, 'package.json'), 'utf8'));
  expect(Object.keys(manifest)).not.toEqual(expect.arrayContaining(['dependencies']));
  expect(manifest.peerDependencies ?? manifest.optionalDependencies).toBeUndefined();
});

test('it can be imported and required', () => {
  const names = 'Code Emitter UnauthorizedError WeftClient WeftError Channel jsonCodec webSocketTransport protobufCodec'.split(' ').sort().join();
  const folder = user({
    'esm.mjs': "import * as weft from 'weft-client'; console.log(Object.keys(weft).sort().join());",
    'cjs.cjs': "const weft = require('weft-client'); console.log(Object.keys(weft).sort().join());",
  });
  for (const file of ['esm.mjs', 'cjs.cjs']) {
    expect(execFileSync('node', [file], { cwd: folder, encoding: 'utf8' }).trim()).toBe(names);
  }
});

test('its types are found both ways, and say what is wrong', () => {
  const source = `
    const client = new WeftClient('ws://localhost/ws', { getTicket: async () => null });
    const channel = client.channel<{ text: string }>('chat:lobby');
    const off: () => void = channel.on('event', ({ data, publisher }) => void [data.text.length, publisher?.clientId]);
    channel.on('subscribed', ({ recovered }) => void (recovered satisfies boolean));
    client.on('disconnected', ({ code }) => void (code satisfies number));
    channel.publish({ text: 'x' }, { messageId: 'm' }).then(({ position }) => void (position satisfies string));
    off();
    // @ts-expect-error there is no such event
    client.on('nonsense', () => {});
    // @ts-expect-error that is not what the channel holds
    void channel.publish(1);
    // @ts-expect-error internal
    channel.receive;
  `;
  const compilerOptions = { module: 'nodenext', strict: true, noEmit: true, skipLibCheck: false, types: [], lib: ['ES2022', 'DOM'], target: 'ES2022' };
  const folder = user({
    'esm.mts': `import { WeftClient } from 'weft-client';${source}`,
    'cjs.cts': `import weft = require('weft-client'); const { WeftClient } = weft;${source}`,
    'tsconfig.json': JSON.stringify({ compilerOptions, files: ['esm.mts', 'cjs.cts'] }),
  });
  execFileSync(path.join(here, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' });
});
