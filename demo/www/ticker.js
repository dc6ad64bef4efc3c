// The ticker: a thousand publications a second, of which a reader gets as many as it can take. Prices are drawn from what
// has come when the screen is painted; the DOM gets a few updates a second.
import { WeftConnection } from './connection.js';
import { nodes, ticketFor } from './nodes.js';
import { $, animate, colour, element, leadTo, prepare, setText, showStatus } from './page.js';

const SYMBOLS = 'AMBR BOLT CORD DENM EYLT FELT GAUZ HEMP INKL JUTE KNIT LINN MOHR NYLN ORGN PLSH QILT RAYN SILK TWLL'.split(' ');
const WINDOW_MS = 60_000;
const SAMPLE_MS = 400; // between two points of a line
const FRAME_MS = 50; // between two drawings
const FIGURES_MS = 250;
const WATCH_EVERY_MS = 4_000; // the feed goes on for three times that
const STILL_MS = 3_000; // without a price for so long something is wrong

class Price {
  value = NaN;
  first = NaN;
  tick = 0;
  points = []; // [time, value], oldest first

  constructor(symbol) {
    this.symbol = symbol;
    this.button = element('button', 'price');
    this.button.type = 'button';
    this.shown = element('span', 'value', '–');
    this.change = element('span', 'change', '');
    this.button.append(element('span', 'symbol', symbol), this.shown, this.change);
    this.button.addEventListener('click', () => choose(this));
  }

  /** Takes a price; returns how many were skipped before it. */
  take({ price, tick }, now) {
    const skipped = this.tick > 0 && tick > this.tick ? tick - this.tick - 1 : 0;
    this.tick = tick;
    this.value = price;
    if (Number.isNaN(this.first)) this.first = price;
    const last = this.points.at(-1);
    const before = this.points.at(-2);
    if (last && before && now - before[0] < SAMPLE_MS) this.points[this.points.length - 1] = [now, price];
    else this.points.push([now, price]);
    while (this.points[0][0] < now - WINDOW_MS) this.points.shift();
    return skipped;
  }

  get percent() {
    return (this.value / this.first - 1) * 100;
  }

  show() {
    if (Number.isNaN(this.value)) return;
    setText(this.shown, this.value.toFixed(2));
    const { percent } = this;
    setText(this.change, `${percent < 0 ? '▼' : '▲'} ${Math.abs(percent).toFixed(2)} %`);
    this.change.dataset.sign = percent < 0 ? 'down' : 'up';
  }
}

const prices = new Map(SYMBOLS.map((symbol) => [`ticker:${symbol}`, new Price(symbol)]));
let chosen = null;
let updates = 0; // since the last figures
let skipped = 0;
let delay = NaN;
let lastUpdate = 0;
let figuresAt = 0;
let rate = NaN;
let paused = false;

function choose(price) {
  chosen?.button.setAttribute('aria-pressed', 'false');
  chosen = price;
  price.button.setAttribute('aria-pressed', 'true');
  $('chosen').textContent = price.symbol;
}

for (const price of prices.values()) {
  price.button.setAttribute('aria-pressed', 'false');
  const item = element('li');
  item.append(price.button);
  $('prices').append(item);
}
choose(prices.get('ticker:SILK'));

// --- the connection ---------------------------------------------------------------------------------------------------

const connection = new WeftConnection(nodes, (node) => ticketFor('ticker', node));
connection.addEventListener('state', ({ detail }) => {
  if (detail.state === 'open') {
    $('node').textContent = detail.node || 'a node whose broker is away';
    lastUpdate = performance.now();
    showStatus('open', 'connected');
    leadTo(connection.node);
    watch();
  } else if (detail.state === 'waiting') {
    showStatus('waiting', `reconnecting in ${(detail.wait / 1000).toFixed(1)} s`);
  } else {
    showStatus('waiting', detail.state === 'connecting' ? 'connecting…' : (detail.why ?? detail.state));
  }
});
connection.addEventListener('event', ({ detail }) => {
  const price = prices.get(detail.channel);
  if (!price || typeof detail.data?.price !== 'number') return;
  lastUpdate = performance.now();
  updates++;
  skipped += price.take(detail.data, lastUpdate);
  if (price === chosen) delay = Math.max(0, Date.now() - Date.parse(detail.timestamp));
});
for (const channel of prices.keys()) connection.subscribe(channel);
connection.open();

/** Tells the feed that somebody watches. */
async function watch() {
  if (paused || document.visibilityState !== 'visible' || !connection.ready) return;
  try {
    await fetch(new URL('watch', connection.node), { method: 'POST', body: 'true' });
  } catch {
    // The node is going; the connection finds out by itself.
  }
}
setInterval(watch, WATCH_EVERY_MS);
document.addEventListener('visibilitychange', watch);

$('pause').addEventListener('click', () => {
  paused = !paused;
  $('pause').setAttribute('aria-pressed', String(paused));
  for (const channel of prices.keys()) {
    if (paused) connection.unsubscribe(channel);
    else connection.subscribe(channel);
  }
  for (const price of prices.values()) price.tick = 0; // what is missed meanwhile isn't skipped
  watch();
});

// --- figures and chart ------------------------------------------------------------------------------------------------

function showFigures(now) {
  const seconds = (now - figuresAt) / 1000;
  const measured = updates / seconds;
  // Smoothed over about a second, so that it can be read.
  rate = Number.isNaN(rate) || figuresAt === 0 ? measured : rate + (measured - rate) * 0.25;
  figuresAt = now;
  updates = 0;
  setText($('rate'), String(Math.round(rate)));
  setText($('skipped'), String(skipped));
  setText($('delay'), Number.isNaN(delay) ? '–' : `${delay} ms`);
  for (const price of prices.values()) price.show();
  if (!connection.ready) return;
  if (paused) showStatus('idle', 'paused');
  else if (now - lastUpdate > STILL_MS) showStatus('waiting', 'no prices come');
  else showStatus('open', 'connected');
}

let drawnAt = 0;
animate((now) => {
  if (now - figuresAt >= FIGURES_MS) showFigures(now);
  if (now - drawnAt < FRAME_MS || paused) return;
  drawnAt = now;
  draw(now);
});

function draw(now) {
  const { context, width, height } = prepare($('chart'));
  const left = 44; // for the scale
  const bottom = height - 8;
  const lines = [...prices.values()].filter(({ points }) => points.length > 1);
  const relative = ({ points }) => points.map(([time, value]) => [time, (value / points[0][1] - 1) * 100]);
  const drawn = lines.map((price) => ({ price, points: relative(price) }));
  const reach = Math.max(0.05, ...drawn.flatMap(({ points }) => points.map(([, percent]) => Math.abs(percent))));
  const x = (time) => left + ((time - (now - WINDOW_MS)) / WINDOW_MS) * (width - left - 8);
  const y = (percent) => 8 + ((reach - percent) / (2 * reach)) * (bottom - 8);

  context.font = '12px system-ui, sans-serif';
  context.textBaseline = 'middle';
  context.fillStyle = colour('soft');
  context.strokeStyle = colour('line');
  context.lineWidth = 1;
  for (const percent of [-reach, -reach / 2, 0, reach / 2, reach]) {
    context.beginPath();
    context.moveTo(left, y(percent));
    context.lineTo(width, y(percent));
    context.stroke();
    context.fillText(percent.toFixed(2), 2, Math.min(bottom - 4, Math.max(10, y(percent))));
  }

  context.lineJoin = 'round';
  const line = (points, style, thick) => {
    context.beginPath();
    for (const [time, percent] of points) context.lineTo(x(time), y(percent));
    context.strokeStyle = style;
    context.lineWidth = thick;
    context.stroke();
  };
  const soft = colour('faint');
  for (const { price, points } of drawn) if (price !== chosen) line(points, soft, 1);
  const front = drawn.find(({ price }) => price === chosen);
  if (front) line(front.points, colour('accent'), 2.5);
}
