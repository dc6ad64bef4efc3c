// Reads what run.sh wrote, a JSON object a line, and prints medians as a Markdown table, with Weft's ratio to each peer.
// usage: node report.mjs FILE.jsonl. The same as JSON lands beside it as FILE.summary.json.
import { readFileSync, writeFileSync } from "node:fs";

const file = process.argv[2];
const lines = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line));
const about = lines.find((line) => line.about)?.about ?? {};
const runs = lines.filter((line) => line.case);

// What of each scenario is worth a row: member, name, divisor, digits, and whether more is better.
const delivery = [
  ["deliveries_per_second", "deliveries/s, k", 1e3, 0, true],
  ["deliveries_per_server_cpu_second", "deliveries per server CPU second, k", 1e3, 0, true],
];
const latency = [
  ["latency_p50_us", "latency p50, ms", 1e3, 3, false],
  ["latency_p99_us", "latency p99, ms", 1e3, 3, false],
];
const cpu = [["server_cpu_percent", "server CPU, %", 1, 1, false]];
const rows = (name) => {
  // No latency here: under saturation it is the window divided by the rate, and says nothing of its own.
  if (name.startsWith("fanout")) return delivery;
  if (name.startsWith("rate") || name === "latency") return [...latency, ...cpu];
  if (name.startsWith("idle")) {
    return [
      ["bytes_per_connection", "bytes a connection", 1, 0, false],
      ["bytes_per_connection_after_traffic", "bytes a connection, after a publication to all", 1, 0, false],
    ];
  }
  return [["handshakes_per_second", "per second, k", 1e3, 1, true], ["handshakes_per_server_cpu_second", "per server CPU second, k", 1e3, 1, true]];
};

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const unique = (values) => [...new Set(values)];
const servers = unique(runs.map((run) => run.server));
const peers = servers.includes("weft") ? servers.filter((server) => server !== "weft") : [];
const notes = [];
const summary = { about, cases: {} };

const table = [["case", "figure", ...servers, ...peers.map((peer) => `weft ÷ ${peer}`)]];
for (const name of unique(runs.map((run) => run.case))) {
  const of = (server) => runs.filter((run) => run.case === name && run.server === server).map((run) => run.result);
  for (const server of servers) {
    for (const result of of(server)) {
      if (result.error) notes.push(`${name}: ${server}: a measurement failed`);
      else if (!result.clean) {
        const faults = ["lost", "duplicates", "reordered", "stray", "disconnects", "stalls", "failures"].filter((key) => result[key]);
        notes.push(`${name}: ${server}: ${faults.map((key) => `${key} ${result[key]}`).join(", ")}`);
      }
    }
  }
  rows(name).forEach(([member, label, divisor, digits, moreIsBetter], index) => {
    const values = Object.fromEntries(
      servers.map((server) => {
        const good = of(server).filter((result) => !result.error && Number.isFinite(result[member])).map((result) => result[member]);
        return [server, good.length ? { median: median(good), low: Math.min(...good), high: Math.max(...good), runs: good.length } : null];
      }),
    );
    (summary.cases[name] ??= {})[member] = { ...values, moreIsBetter };
    const figure = (value) => (value / divisor).toFixed(digits);
    const spread = (value) => (value ? `${figure(value.median)} (${figure(value.low)}–${figure(value.high)})` : "–");
    const ratio = (peer) => (values.weft && values[peer] && values[peer].median ? `${(values.weft.median / values[peer].median).toFixed(2)} ×` : "–");
    table.push([index === 0 ? name : "", `${label} ${moreIsBetter ? "↑" : "↓"}`, ...servers.map((server) => spread(values[server])), ...peers.map(ratio)]);
  });
}

console.log(`${about.date}: ${about.cores} cores of ${about.cpu}, Linux ${about.kernel}, nginx ${about.nginx}, load ${about.load_at_start} at the start`);
console.log(`${about.rounds} rounds of ${about.seconds} s each, interleaved; medians (lowest–highest); ↑ more is better, ↓ less is better`);
console.log(`versions: ${Object.entries(about.versions ?? {}).map(([name, version]) => `${name} ${version}`).join(", ")}\n`);
const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
table.forEach((row, index) => {
  console.log(`| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`);
  if (index === 0) console.log(`|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`);
});
console.log(notes.length ? `\nNot clean:\n${unique(notes).map((note) => `- ${note}`).join("\n")}` : "\nEvery subscriber received every publication once and in order.");
writeFileSync(file.replace(/\.jsonl$/, ".summary.json"), `${JSON.stringify(summary, null, 1)}\n`);
