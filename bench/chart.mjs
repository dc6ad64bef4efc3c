// One SVG of a run's summary: a panel a figure, a group of bars a case, a bar a server.
// usage: node chart.mjs FILE.summary.json > FILE.svg
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { machineOf, serverNames, versionsOf } from "./figures.mjs";

const big = (value) => (value >= 1e6 ? `${(value / 1e6).toFixed(2)} M` : value >= 1e3 ? `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)} k` : value.toFixed(0));
const milliseconds = (value) => `${(value / 1e3).toFixed(value < 1e4 ? 2 : 1)} ms`;
const bytes = (value) => `${Math.round(value).toLocaleString("en-US")} B`;

// Each bar group is [case, member, label].
const panels = [
  {
    title: "Deliveries a second, saturated",
    unit: big,
    groups: [
      ["fanout-1x100", "deliveries_per_second", "1 channel × 100 subscribers"],
      ["fanout-1x1000", "deliveries_per_second", "1 channel × 1000"],
      ["fanout-1x5000", "deliveries_per_second", "1 channel × 5000"],
      ["fanout-1000x5", "deliveries_per_second", "1000 channels × 5"],
      ["fanout-1x1000-single", "deliveries_per_second", "1 × 1000, one publication in flight"],
      ["fanout-1x1000-tls", "deliveries_per_second", "1 × 1000 over TLS"],
    ],
  },
  {
    title: "Publish to deliver, 1000 subscribers, 20 a second",
    unit: milliseconds,
    groups: [
      ["rate-1x1000-20", "latency_p50_us", "p50"],
      ["rate-1x1000-20", "latency_p99_us", "p99"],
    ],
  },
  {
    title: "Publish to deliver, one subscriber, 200 a second",
    unit: milliseconds,
    groups: [
      ["latency", "latency_p50_us", "p50"],
      ["latency", "latency_p99_us", "p99"],
    ],
  },
  {
    title: "Memory of an idle connection",
    unit: bytes,
    groups: [
      ["idle-one-channel", "bytes_per_connection", "all in one channel"],
      ["idle-own-channels", "bytes_per_connection", "each in a channel of its own"],
    ],
  },
  {
    title: "Handshakes a second",
    unit: big,
    groups: [
      ["handshakes", "handshakes_per_second", "to the 101"],
      ["subscriptions", "handshakes_per_second", "to the end of a subscription"],
      ["handshakes-tls", "handshakes_per_second", "to the 101, TLS 1.3"],
    ],
  },
  {
    title: "Memory of an idle connection over TLS",
    unit: bytes,
    groups: [["idle-tls", "bytes_per_connection", "all in one channel"]],
  },
];

const width = 960;
const margin = 28;
const gutter = 40;
const columnWidth = (width - 2 * margin - gutter) / 2;
const nameWidth = 98;
const valueWidth = 84;
const bar = 14;
const barStep = 19;
const groupHead = 22;
const groupGap = 10;
const panelHead = 50;
const panelGap = 26;

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const text = (x, y, kind, content, anchor = "start") => `<text x="${x}" y="${y}" class="${kind}" text-anchor="${anchor}">${escape(content)}</text>`;

/** The groups of a panel that this run has: {label, moreIsBetter, bars: [{server, value}]}. */
function groupsOf(panel, { cases, servers }) {
  return panel.groups.flatMap(([name, member, label]) => {
    const figure = cases[name]?.find((one) => one.member === member);
    if (!figure) return [];
    const bars = servers.filter((server) => figure.servers[server]).map((server) => ({ server, value: figure.servers[server].median }));
    return [{ label, moreIsBetter: figure.moreIsBetter, bars }];
  });
}

/** "1.07 × the best peer (uWebSockets)" */
function standing({ bars, moreIsBetter }) {
  const weft = bars.find(({ server }) => server === "weft");
  const peers = bars.filter(({ server }) => server !== "weft").sort((a, b) => (moreIsBetter ? b.value - a.value : a.value - b.value));
  if (!weft || peers.length === 0 || peers[0].value === 0) return "";
  const ratio = weft.value / peers[0].value;
  return `${ratio.toFixed(ratio < 10 ? 2 : 1)} × ${serverNames[peers[0].server]}`;
}

const heightOf = (groups) => panelHead + groups.reduce((sum, group) => sum + groupHead + group.bars.length * barStep + groupGap, 0);

function draw(panel, groups, x, y) {
  const longest = Math.max(...groups.flatMap((group) => group.bars.map(({ value }) => value)));
  const room = columnWidth - nameWidth - valueWidth;
  const out = [text(x, y + 18, "panel", panel.title), text(x, y + 36, "note", groups[0].moreIsBetter ? "more is better" : "less is better")];
  let at = y + panelHead;
  for (const group of groups) {
    out.push(text(x, at + 15, "group", group.label), text(x + columnWidth, at + 15, "ratio", standing(group), "end"));
    at += groupHead;
    for (const { server, value } of group.bars) {
      const kind = server === "weft" ? "weft" : "peer";
      const size = longest > 0 ? Math.max(1.5, (value / longest) * room) : 0;
      out.push(text(x + nameWidth - 8, at + bar - 3, `name ${kind}`, serverNames[server], "end"));
      out.push(`<rect x="${x + nameWidth}" y="${at}" width="${size.toFixed(1)}" height="${bar}" rx="2" class="bar ${kind}"/>`);
      out.push(text((x + nameWidth + size + 6).toFixed(1), at + bar - 3, `value ${kind}`, panel.unit(value)));
      at += barStep;
    }
    at += groupGap;
  }
  return out;
}

/** Breaks at spaces. */
function wrap(sentence, columns) {
  const lines = [];
  for (const word of sentence.split(" ")) {
    if (lines.length > 0 && lines.at(-1).length + 1 + word.length <= columns) lines.push(`${lines.pop()} ${word}`);
    else lines.push(word);
  }
  return lines;
}

const style = `
    text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; fill: #24292f; }
    .page { fill: #ffffff; }
    .title { font-size: 21px; font-weight: 600; }
    .panel { font-size: 15px; font-weight: 600; }
    .note, .about, .group, .name.peer, .value.peer { fill: #57606a; }
    .about, .note { font-size: 12.5px; }
    .name.weft, .value.weft, .ratio { font-weight: 600; }
    .ratio, .value.weft { fill: #a04a06; }
    .bar.weft { fill: #e8762d; }
    .bar.peer { fill: #a9b1bb; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .page { fill: #0d1117; }
      .note, .about, .group, .name.peer, .value.peer { fill: #9ea7b3; }
      .ratio, .value.weft { fill: #ffb27a; }
      .bar.weft { fill: #f0883e; }
      .bar.peer { fill: #586270; }
    }
  `;

/** The chart of a summary, as SVG. */
export function chartOf(summary) {
  const { about } = summary;
  const out = [text(margin, 42, "title", `Weft beside other servers, ${String(about.date).slice(0, 10)}`)];
  let head = 66;
  for (const sentence of [`${machineOf(about)}; servers on one core, load on the other.`, `${versionsOf(summary)}.`, "Medians. Beside each group: Weft ÷ the best other server."]) {
    for (const line of wrap(sentence, 135)) {
      out.push(text(margin, head, "about", line));
      head += 18;
    }
  }
  const ends = [head + 10, head + 10];
  for (const panel of panels) {
    const groups = groupsOf(panel, summary);
    if (groups.length === 0) continue;
    const column = ends[0] <= ends[1] ? 0 : 1;
    out.push(...draw(panel, groups, margin + column * (columnWidth + gutter), ends[column]));
    ends[column] += heightOf(groups) + panelGap;
  }
  const height = Math.max(...ends);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">`,
    `  <title id="title">Weft beside other servers: deliveries, latency, memory and handshakes</title>`,
    `  <style>${style}</style>`,
    `  <rect class="page" width="${width}" height="${height}"/>`,
    ...out.map((line) => `  ${line}`),
    "</svg>\n",
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(chartOf(JSON.parse(readFileSync(process.argv[2], "utf8"))));
