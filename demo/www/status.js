// The status page: what both nodes tell about themselves, asked once a second. No WebSocket: a node that is in trouble
// should still be able to say so.
import { nodes } from './nodes.js';
import { $, colour, element, prepare, setText, showStatus } from './page.js';

const EVERY_MS = 1_000;
const PATIENCE_MS = 2_000;
const WINDOW_MS = 120_000;

/** The samples of Prometheus's text format, as {name, labels, value}. */
export function parseMetrics(text) {
  const samples = [];
  for (const line of text.split('\n')) {
    const match = line.match(/^(\w+)(?:\{(.*)\})? (\S+)$/);
    if (match) samples.push({ name: match[1], labels: match[2] ?? '', value: Number(match[3]) });
  }
  return samples;
}

function sum(samples, name, label = '') {
  const matching = samples.filter((sample) => sample.name === name && sample.labels.includes(label));
  return matching.reduce((total, { value }) => total + value, 0);
}

function bytes(count) {
  for (const [unit, size] of [['MiB', 2 ** 20], ['KiB', 2 ** 10]]) if (count >= size) return `${(count / size).toFixed(1)} ${unit}`;
  return `${count} B`;
}

const whole = (value) => Math.round(value).toLocaleString('en');

// What is shown of a node, one row each. `rate` rows are of counters, a second.
const ROWS = [
  ['Connections', ({ nginx }) => whole(nginx.connections.active)],
  ['Subscriptions', ({ nginx }) => whole(nginx.subscriptions)],
  ['Channels', ({ weftd }) => weftd && whole(sum(weftd, 'weftd_channels'))],
  ['Publications/s', ({ rates }) => rates && whole(rates.published)],
  ['Deliveries/s', ({ rates }) => rates && whole(rates.delivered)],
  ['Sent/s', ({ rates }) => rates && bytes(Math.round(rates.sent))],
  ['Skipped for newer', ({ nginx }) => whole(nginx.messages.conflated)],
  ['Workers linked', ({ nginx }) => `${nginx.link.up} of ${nginx.workers}`],
  ['Peers linked', ({ ready }) => ready?.peers && `${ready.peers.filter(({ up }) => up).length} of ${ready.peers.length}`],
  ['Queued', ({ weftd }) => weftd && bytes(sum(weftd, 'weftd_queued_bytes'))],
  ['History', ({ weftd }) => weftd && `${bytes(sum(weftd, 'weftd_history_bytes'))} of ${bytes(sum(weftd, 'weftd_history_max_bytes'))}`],
];

class NodePanel {
  history = []; // {time, delivered, connections}, oldest first
  #before = null; // counters at the last look

  constructor(base, dash) {
    this.base = base;
    this.dash = dash;
    this.name = new URL(base).host;
    this.title = element('th', '', this.name);
    this.title.scope = 'col';
    this.state = element('td', 'state', '…');
    this.cells = ROWS.map(() => element('td', '', '–'));
  }

  async #get(path) {
    return fetch(new URL(path, this.base), { signal: AbortSignal.timeout(PATIENCE_MS), cache: 'no-store' });
  }

  /** Asks; resolves with what was told, or with why nothing was. */
  async ask() {
    try {
      const [nginx, ready, metrics] = await Promise.all(['weft/status', 'weftd/readyz', 'weftd/metrics'].map((path) => this.#get(path)));
      const isWeftd = (response) => response.headers.get('content-type')?.includes('json');
      const told = { nginx: await nginx.json(), ready: isWeftd(ready) ? await ready.json() : null };
      told.weftd = metrics.ok ? parseMetrics(await metrics.text()) : null;
      if (!told.ready) return { ...told, state: 'weftd is down' };
      if (told.ready.node) this.name = told.ready.node;
      return { ...told, state: ready.ok ? 'ready' : `not ready: ${told.ready.why ?? ready.status}` };
    } catch {
      return { state: 'down' };
    }
  }

  show(told, now) {
    const counters = told.nginx && {
      time: now,
      delivered: told.nginx.publications.out,
      published: told.nginx.publications.in,
      sent: told.nginx.bytes.out,
    };
    if (counters && this.#before) {
      const seconds = (now - this.#before.time) / 1000;
      const rate = (name) => Math.max(0, counters[name] - this.#before[name]) / seconds; // a node that is new counts from 0
      told.rates = { delivered: rate('delivered'), published: rate('published'), sent: rate('sent') };
    }
    this.#before = counters ?? null;
    this.history.push({ time: now, deliveries: told.rates?.delivered ?? 0, connections: told.nginx?.connections.active ?? 0 });
    while (this.history[0].time < now - WINDOW_MS) this.history.shift();

    setText(this.title, this.name);
    setText(this.state, told.state);
    this.state.dataset.state = told.state === 'ready' ? 'open' : 'waiting';
    ROWS.forEach(([, figure], i) => setText(this.cells[i], (told.nginx && figure(told)) || '–'));
    return told.state;
  }
}

const panels = nodes.map((base, i) => new NodePanel(base, i === 0 ? [] : [5, 4]));

function row(title, cells) {
  const made = element('tr');
  const heading = element('th', '', title);
  heading.scope = 'row';
  made.append(heading, ...cells);
  $('figures').append(made);
}
$('names').append(...panels.map(({ title }) => title));
row('State', panels.map(({ state }) => state));
ROWS.forEach(([title], i) => row(title, panels.map(({ cells }) => cells[i])));

let paused = false;
$('pause').addEventListener('click', () => {
  paused = !paused;
  $('pause').setAttribute('aria-pressed', String(paused));
  if (paused) showStatus('idle', 'paused');
});

async function look() {
  if (!paused && document.visibilityState === 'visible') {
    const told = await Promise.all(panels.map((panel) => panel.ask()));
    const now = performance.now();
    const states = panels.map((panel, i) => panel.show(told[i], now));
    const ready = states.filter((state) => state === 'ready').length;
    if (!paused) showStatus(ready === panels.length ? 'open' : 'waiting', `${ready} of ${panels.length} nodes ready`);
    for (const name of ['deliveries', 'connections']) draw(name, now);
  }
  setTimeout(look, EVERY_MS);
}
look();

function draw(name, now) {
  const { context, width, height } = prepare($(name));
  const top = Math.max(4, ...panels.flatMap(({ history }) => history.map((sample) => sample[name])));
  const left = 8 + context.measureText(whole(top)).width * 1.3;
  const x = (time) => left + 6 + ((time - (now - WINDOW_MS)) / WINDOW_MS) * (width - left - 14);
  const y = (value) => height - 10 - (value / top) * (height - 24);

  context.font = '12px system-ui, sans-serif';
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  context.lineWidth = 1;
  for (const value of [0, top / 2, top]) {
    context.strokeStyle = colour('line');
    context.beginPath();
    context.moveTo(left + 6, y(value));
    context.lineTo(width, y(value));
    context.stroke();
    context.fillStyle = colour('soft');
    context.fillText(whole(value), left, y(value));
  }
  panels.forEach(({ history, dash }, i) => {
    context.beginPath();
    for (const sample of history) context.lineTo(x(sample.time), y(sample[name]));
    context.setLineDash(dash);
    context.strokeStyle = colour(i === 0 ? 'accent' : 'other');
    context.lineWidth = 2;
    context.stroke();
  });
  context.setLineDash([]);
  setText($(`legend-${name}`), panels.map(({ name: node }, i) => `${i === 0 ? '━' : '╍'} ${node}`).join('   '));
}
