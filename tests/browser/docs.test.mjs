// What README, docs/ and conf.d/ show is true: examples run, configurations are accepted, links lead somewhere.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { launchChromium } from './chromium.mjs';
import { Client } from './client.mjs';
import { build, startNodes, tree } from './nodes.mjs';

const run = promisify(execFile);
const pages = ['README.md', ...fs.readdirSync(path.join(tree, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
);
const text = (name) => fs.readFileSync(path.join(tree, name), 'utf8');

/** The fenced blocks of a page in this language. */
function blocks(page, language) {
  return [...text(page).matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter((match) => match[1] === language).map((match) => match[2]);
}

let demo, folder;
before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weft-docs.'));
  fs.writeFileSync(path.join(folder, 'ticket.key'), randomBytes(32).toString('hex'));
  const weftctl = path.join(build, 'weftctl');
  const { stdout: pem } = await run(weftctl, ['keygen', '--alg', 'ES256', '--public', path.join(folder, 'ticket.pub')]);
  fs.writeFileSync(path.join(folder, 'ticket.pem'), pem);
  fs.writeFileSync(path.join(folder, 'jwks.json'), (await run(weftctl, ['jwks', `a=${path.join(folder, 'ticket.pem')}`])).stdout);
  fs.writeFileSync(path.join(folder, 'api.keys'), `shop sha256:${'0'.repeat(64)} {"channels":{"chat:*":["publish"]}}\n`);
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=localhost',
    '-keyout', path.join(folder, 'server.key'), '-out', path.join(folder, 'server.crt')]);
  demo = await startNodes();
});
after(async () => {
  fs.rmSync(folder, { recursive: true, force: true });
  await demo?.stop();
});

/** Runs nginx -t on a configuration, with the module, the key and nginx's own files where this test has them. */
async function checkNginx(conf) {
  const inside = /^location /m.test(conf) && !/^server /m.test(conf) ? `server {\nlisten 8000;\n${conf}\n}` : conf;
  const whole = conf.includes('http {') ? conf : `load_module modules/ngx_http_weft_module.so;\nevents {}\nhttp {\n${inside}\n}\n`;
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`);
  const here = whole
    .replace('modules/ngx_http_weft_module.so', path.join(build, 'ngx_http_weft_module.so'))
    .replace('http {', `pid ${folder}/nginx.pid;\nhttp {\n${paths.join('\n')}\naccess_log off;`)
    .replaceAll('/etc/weft/clients.crt', path.join(folder, 'server.crt'))
    .replaceAll(/\/etc\/weft\/(?=ticket\.key|ticket\.pub|jwks\.json|api\.keys|server\.)/g, `${folder}/`)
    .replaceAll('/var/log/nginx', folder);
  const file = path.join(folder, 'nginx.conf');
  fs.writeFileSync(file, here);
  await run('/usr/sbin/nginx', ['-t', '-p', folder, '-e', 'stderr', '-c', file]);
}

for (const page of pages) {
  blocks(page, 'nginx').forEach((conf, i) => {
    test(`nginx accepts example ${i + 1} of ${page}`, () => checkNginx(conf));
  });
  blocks(page, 'yaml').forEach((yaml, i) => {
    test(`weftd accepts example ${i + 1} of ${page}`, async () => {
      const file = path.join(folder, 'weftd.yaml');
      fs.writeFileSync(file, yaml);
      await run(path.join(build, 'weftd'), ['--check', '--config', file]);
    });
  });
  test(`every link of ${page} leads somewhere`, () => {
    for (const [, target] of text(page).matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file, anchor] = target.split('#');
      const there = file ? path.join(path.dirname(page), file) : page;
      assert.ok(fs.existsSync(path.join(tree, there)), `${target} in ${page}`);
      if (!anchor) continue;
      const headings = [...text(there).matchAll(/^#+ (.*)$/gm)].map((match) => match[1].toLowerCase().replaceAll(' ', '-'));
      assert.ok(headings.includes(anchor), `${target} in ${page}`);
    }
  });
}

test('nginx and weftd accept what conf.d holds', async () => {
  const names = fs.readdirSync(path.join(tree, 'conf.d'));
  assert.ok(names.length > 0);
  for (const name of names) {
    if (name.endsWith('.yaml')) await run(path.join(build, 'weftd'), ['--check', '--config', path.join(tree, 'conf.d', name)]);
    else await checkNginx(text(`conf.d/${name}`));
  }
});

test('docs/directives.md has every directive of the module, and no other', () => {
  const source = text('ngx_module/ngx/directives.cpp');
  const known = [...source.matchAll(/_directive\("(weft_\w+)"/g)].map((match) => match[1]);
  const told = [...text('docs/directives.md').matchAll(/^### (weft_\w+)$/gm)].map((match) => match[1]);
  assert.ok(known.length > 0);
  assert.deepEqual(told.sort(), known.sort());
});

test('docs/protocol.md has every code by its name', () => {
  const known = [...text('proto/weft/codes.hpp').matchAll(/^ +(\w+) = (40\d\d),/gm)].map((match) => `${match[2]} ${match[1]}`);
  const told = [...text('docs/protocol.md').matchAll(/^\| (40\d\d) \| (\w+) \|/gm)].map((match) => `${match[1]} ${match[2]}`);
  assert.ok(known.length > 0);
  assert.deepEqual(told, known);
});

test('docs/security.md names tests that there are', () => {
  const rows = text('docs/security.md').split('\n').filter((line) => /^\| \d+ \|/.test(line));
  assert.ok(rows.length >= 40);
  rows.forEach((row, i) => {
    const cells = row.split('|').map((cell) => cell.trim());
    assert.equal(Number(cells[1]), i + 1, 'rows are numbered');
    // One test, or several.
    cells[5].split(/; (?=`)/).forEach((shown) => {
      const [, file, , name] = shown.match(/^`((?:t|tests)\/[\w./]+)`(: (.+))?$/) ?? assert.fail(`no test in: ${row}`);
      if (!name) return assert.ok(file.startsWith('tests/fuzz/') && fs.existsSync(path.join(tree, file)), row);
      // The forgeries that tests share stand beside them.
      const source = text(file) + (file.startsWith('t/') ? text('t/lib/Weft/Ticket.pm') : '');
      const [suite, test] = name.split('.');
      const there = file.endsWith('.cpp')
        ? new RegExp(`^TEST(_F|_P)?\\(${suite}, ${test}\\)`, 'm').test(source)
        : source.includes(`'${name}'`) || source.includes(`'${name.replaceAll("'", "\\'")}'`);
      assert.ok(there, `${name} in ${file}`);
    });
  });
});

test("the README's curl reaches who is in the lobby", async () => {
  const ada = await Client.connect(demo.nodes[0], 'Ada');
  await ada.subscribe('chat:lobby');
  const [command] = blocks('README.md', 'sh').filter((block) => block.startsWith('curl'));
  const { stdout } = await run('bash', ['-c', command.replace('http://127.0.0.1:8080/', demo.nodes[0])]);
  assert.ok(JSON.parse(stdout).message_id);
  assert.deepEqual((await ada.next('event')).payload.data, { text: 'Hello from the shell' });
  await ada.close();
});

test("the README's lines of JavaScript subscribe, publish and receive in a browser", async () => {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(demo.nodes[0]);
    const logged = async (type) => {
      const predicate = (message) => message.text().includes(`"type":"${type}"`);
      return JSON.parse((await page.waitForEvent('console', { predicate, timeout: 60_000 })).text());
    };
    const [first, then] = blocks('README.md', 'js');
    const subscribed = logged('subscribed');
    await page.evaluate(`(async () => { ${first}; window.send = send; })()`);
    await subscribed;
    const event = logged('event');
    await page.evaluate(then);
    assert.deepEqual((await event).payload.data, { text: 'Hello' });
  } finally {
    await browser.close();
  }
});

test("the README's weftctl lines make a ticket that opens a connection", async () => {
  const [commands] = blocks('README.md', 'sh').filter((block) => block.startsWith('weftctl'));
  const here = commands
    .replaceAll('weftctl', path.join(build, 'weftctl'))
    .replace('> ticket.key', `> ${folder}/made.key`)
    .replace('--key ticket.key', `--key ${demo.key}`);
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', here]);
  assert.ok(fs.readFileSync(path.join(folder, 'made.key'), 'utf8').length >= 32);
  const ada = Client.open(demo.nodes[0], stdout.trim());
  assert.equal((await ada.next('connection_established')).payload.user, 'ada');
  await ada.subscribe('chat:lobby');
  await ada.close();
});
