// What the benchmark makes of its measurements: medians, ratios, notes, chart.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { chartOf } from '../../bench/chart.mjs';
import { summarize } from '../../bench/figures.mjs';
import { reportOf } from '../../bench/report.mjs';
import { launchChromium } from './chromium.mjs';
import { tree } from './nodes.mjs';

const about = { date: '2026-01-31T12:00:00Z', cores: 2, cpu: 'CPU <of> a & b', kernel: '6.1', nginx: '1.22.1', seconds: 2, versions: { weft: 'w1', uws: 'u1' } };
const fanout = (server, round, deliveries_per_second, more = {}) => ({
  case: 'fanout-1x1000',
  round,
  server,
  result: { deliveries_per_second, deliveries_per_server_cpu_second: deliveries_per_second, clean: true, ...more },
});
const written = (...lines) => [{ about }, ...lines].map((line) => JSON.stringify(line)).join('\n');

test('a median is taken over the clean runs alone, and the others are named', () => {
  const summary = summarize(
    written(
      fanout('weft', 1, 3000),
      fanout('weft', 2, 9_000_000, { clean: false, lost: 7, duplicates: 0 }),
      fanout('weft', 3, 1000),
      fanout('weft', 4, 2000),
      { case: 'fanout-1x1000', round: 1, server: 'uws', result: { error: true } },
    ),
  );
  const [figure] = summary.cases['fanout-1x1000'];
  assert.deepEqual(figure.servers.weft, { median: 2000, low: 1000, high: 3000, runs: 3 });
  assert.equal(figure.servers.uws, undefined);
  assert.deepEqual(summary.notes, ['fanout-1x1000: weft: lost 7', 'fanout-1x1000: uws: a measurement failed']);
  const report = reportOf(summary);
  assert.match(report, /Not clean, .*\n- fanout-1x1000: weft: lost 7\n/);
  assert.doesNotMatch(report, /Every subscriber received/);
});

test('the table holds Weft against each peer', () => {
  const report = reportOf(summarize(written(fanout('weft', 1, 3_000_000), fanout('uws', 1, 2_000_000))));
  const row = report.split('\n').find((line) => line.includes('deliveries/s'));
  assert.deepEqual(row.split('|').map((cell) => cell.trim()).slice(3, 6), ['3000', '2000', '1.50 ×']);
  assert.match(report, /Every subscriber received every publication once and in order\./);
});

test('the chart is an image that a browser draws, with every value and the standing in it', async () => {
  const summary = summarize(
    written(fanout('weft', 1, 3_000_000), fanout('uws', 1, 2_000_000), {
      case: 'idle-one-channel',
      round: 1,
      server: 'weft',
      result: { bytes_per_connection: 954.4, clean: true },
    }),
  );
  const svg = chartOf(JSON.parse(JSON.stringify(summary)));
  for (const text of ['3.00 M', '2.00 M', '1.50 × uWebSockets', '954 B', '2026-01-31', 'CPU &lt;of&gt; a &amp; b', 'Weft w1']) {
    assert.ok(svg.includes(text), text);
  }
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    const width = await page.evaluate(async (source) => {
      const image = new Image();
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
      await image.decode(); // rejects what is not well-formed
      return image.naturalWidth;
    }, svg);
    assert.equal(width, 960);
  } finally {
    await browser.close();
  }
});

test('run.sh refuses cases and servers that it does not know', async () => {
  const run = promisify(execFile);
  const script = path.join(tree, 'bench/run.sh');
  await assert.rejects(run(script, ['--only', 'no-such-case']), { code: 1, stderr: /--only no-such-case matches no case/ });
  await assert.rejects(run(script, ['--fast']), { code: 1, stderr: /what is --fast\?/ });
  const { stdout } = await run(script, ['--help']);
  assert.match(stdout, /--docs/);
});
