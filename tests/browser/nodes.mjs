// Starts the two nodes of the demo for a test, and stops them.
import { execFileSync, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

export const tree = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const build = process.env.WEFT_BUILD ?? path.join(tree, 'build');

/**
 * Runs the demo, or two nodes by the templates in another folder, with `more` in the environment of run.sh. Resolves once both nodes answer, with {nodes: [url, url], key, state, kill(),
 * stop()}: the pages' addresses, the key file of the tickets, and the folder with each node's configuration and pid (a/, b/).
 * kill('A') kills that node, by the command that run.sh shows; `back` of what it returns resolves when it is started again. stop() ends
 * them, and throws when they did not end cleanly.
 */
export async function startNodes(templates = path.join(tree, 'demo'), more = {}) {
  // Told to stop when this process dies, however it does.
  const command = ['--pdeathsig', 'TERM', path.join(tree, 'scripts/run.sh'), '--json'];
  const env = { ...process.env, WEFT_RUN_TEMPLATES: templates, ...more };
  const run = spawn('setpriv', command, { cwd: tree, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = [];
  const lines = new EventEmitter();
  const exited = once(run, 'close');
  const ready = new Promise((resolve, reject) => {
    readline.createInterface({ input: run.stderr }).on('line', (line) => output.push(line));
    readline.createInterface({ input: run.stdout }).on('line', (line) => {
      output.push(line);
      lines.emit('line', line);
      if (line.startsWith('ready {')) resolve(JSON.parse(line.slice('ready '.length)));
    });
    exited.then(([code, signal]) => reject(new Error(`run.sh ended (${code ?? signal}):\n${output.join('\n')}`)));
  });
  const what = await ready;
  return {
    ...what,
    output,
    kill(node) {
      const shown = output.findLast((line) => line.startsWith(`  node ${node} `) && line.includes('kill -9'));
      const back = new Promise((resolve) => {
        lines.on('line', (line) => line.startsWith(`  node ${node} is back`) && resolve());
      });
      execFileSync('bash', ['-c', shown.slice(shown.indexOf('kill -9'))]);
      return { back };
    },
    async stop() {
      run.kill('SIGTERM');
      const [code, signal] = await exited;
      const text = output.join('\n');
      if (code !== 0) throw new Error(`run.sh ended with ${code ?? signal}:\n${text}`);
      // A worker that a test killed is fine (signal 9), everything else that nginx is alarmed about is not.
      const alarms = output.filter((line) => /\[(alert|crit|emerg)\]/.test(line) && !line.includes('signal 9'));
      if (alarms.length > 0) throw new Error(`nginx is alarmed:\n${alarms.join('\n')}\nin:\n${text}`);
    },
  };
}

/** The demo for tests that kill nodes: they come back after long enough to be missed, at ports where nobody else looks for free ones meanwhile. */
export function startMortalNodes() {
  const port = 10_000 + Math.floor(Math.random() * 20_000);
  return startNodes(undefined, { WEFT_RUN_RESTART: '8', WEFT_RUN_PORT: String(port) });
}

/** Resolves when the node has its peer's history, and its workers have their weftd. */
export async function ready(node) {
  for (;;) {
    try {
      const readyz = await fetch(new URL('weftd/readyz', node));
      const { link } = await (await fetch(new URL('weft/status', node))).json();
      if (readyz.ok && (await readyz.json()).peers.every(({ up }) => up) && link.up === 2) return;
    } catch {
      // It is not there yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A ticket from the demo's endpoint on this node. */
export async function ticketFor(node, name) {
  const response = await fetch(new URL(`ticket?name=${encodeURIComponent(name)}`, node), { method: 'POST' });
  const body = await response.json();
  if (!response.ok) throw new Error(`${response.status}: ${body.error}`);
  return body.ticket;
}

/** Publishes as a back end does; resolves with the response. */
export function post(node, channel, body, type = 'application/json') {
  return fetch(new URL(`publish/${channel}`, node), { method: 'POST', body, headers: { 'Content-Type': type } });
}
