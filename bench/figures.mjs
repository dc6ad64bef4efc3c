// What run.sh wrote, an object a line, as a summary: medians over the clean runs of each server in each case.
import { readFileSync } from "node:fs";

export const serverNames = { weft: "Weft", nchan: "Nchan", uws: "uWebSockets", ws: "ws", socketio: "Socket.IO" };

export const caseNames = {
  "fanout-1x100": "1 channel × 100",
  "fanout-1x1000": "1 channel × 1000",
  "fanout-1x5000": "1 channel × 5000",
  "fanout-1000x5": "1000 channels × 5",
  "fanout-1x100-32": "1 × 100, 32 publications in flight",
  "fanout-1x1000-32": "1 × 1000, 32 publications in flight",
  "fanout-1x5000-32": "1 × 5000, 32 publications in flight",
  "fanout-1000x5-32": "1000 × 5, 32 publications in flight",
  "fanout-1x100-32-raw": "1 × 100, 32 in flight, the data alone",
  "fanout-1x100-raw": "1 × 100, the data alone",
  "fanout-1x1000-raw": "1 × 1000, the data alone",
  "fanout-1x5000-raw": "1 × 5000, the data alone",
  "fanout-1000x5-raw": "1000 × 5, the data alone",
  "fanout-1x1000-single": "1 × 1000, one publication in flight",
  "fanout-1x1000-tls": "1 × 1000 over TLS",
  "fanout-1x1000-sse": "1 × 1000 by server-sent events",
  "rate-1x1000-20": "1 × 1000, 20 publications a second",
  "rate-1x1000-20-poll": "1 × 1000, 20 publications a second, long polls",
  latency: "1 × 1, 200 publications a second",
  "idle-one-channel": "idle, all in one channel",
  "idle-own-channels": "idle, each in a channel of its own",
  "idle-tls": "idle over TLS",
  "idle-poll": "idle, in a held poll",
  "idle-sse": "idle, listening by server-sent events",
  handshakes: "WebSocket handshakes",
  subscriptions: "handshakes with a subscription",
  "handshakes-tls": "handshakes over TLS",
  "reload-5x1000": "5 channels × 1000, 100 publications a second, 50 reloads in a minute",
};

// What of each kind of case is worth a row: member of the result, label, divisor, digits, and whether more is better.
const delivery = [
  ["deliveries_per_second", "deliveries/s, k", 1e3, 0, true],
  ["deliveries_per_server_cpu_second", "deliveries per server CPU second, k", 1e3, 0, true],
];
const latency = [
  ["latency_p50_us", "publish to deliver p50, ms", 1e3, 3, false],
  ["latency_p99_us", "publish to deliver p99, ms", 1e3, 3, false],
  ["server_cpu_percent", "server CPU, %", 1, 1, false],
];
const memory = [
  ["bytes_per_connection", "bytes a connection", 1, 0, false],
  ["nginx_bytes_per_connection", "… of them nginx's worker", 1, 0, false],
  ["weftd_bytes_per_connection", "… of them weftd", 1, 0, false],
  ["bytes_per_connection_after_traffic", "bytes a connection, after a publication to all", 1, 0, false],
];
const handshakes = [
  ["handshakes_per_second", "per second, k", 1e3, 1, true],
  ["handshakes_per_server_cpu_second", "per server CPU second, k", 1e3, 1, true],
];
const reloads = [
  ["disconnects", "connections cut off", 1, 0, false],
  ["lost", "deliveries missed", 1, 0, false],
  ["unsent", "publications held up by a publisher that was cut off", 1, 0, false],
  ["duplicates", "deliveries repeated", 1, 0, false],
  ["latency_p99_us", "publish to deliver p99, ms", 1e3, 1, false],
  ["latency_max_us", "… at most", 1e3, 1, false],
];
// What such a case is about is what elsewhere makes a run worthless.
const judges = (name) => name.startsWith("reload");
function rowsOf(name) {
  if (judges(name)) return reloads;
  // No latency of a saturated server: it is the window divided by the rate, and says nothing of its own.
  if (name.startsWith("fanout")) return delivery;
  if (name.startsWith("rate") || name === "latency") return latency;
  return name.startsWith("idle") ? memory : handshakes;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const unique = (values) => [...new Set(values)];
const faults = ["lost", "duplicates", "reordered", "stray", "disconnects", "stalls", "failures"];

/** {about, openssl, servers, cases: {name: [figure, …]}, notes}; a figure has {median, low, high, runs} of each server. */
export function summarize(text) {
  const lines = text.trim().split("\n").map((line) => JSON.parse(line));
  const runs = lines.filter((line) => line.case);
  const servers = unique(runs.map((run) => run.server));
  const notes = [];
  for (const { case: name, server, result } of runs) {
    if (result.error) notes.push(`${name}: ${server}: a measurement failed`);
    else if (!result.clean && !judges(name)) notes.push(`${name}: ${server}: ${faults.filter((key) => result[key]).map((key) => `${key} ${result[key]}`).join(", ")}`);
  }
  const cases = {};
  for (const name of unique(runs.map((run) => run.case))) {
    const valuesOf = (server, member) =>
      runs
        .filter((run) => run.case === name && run.server === server && (run.result.clean || judges(name)) && Number.isFinite(run.result[member]))
        .map((run) => run.result[member]);
    cases[name] = rowsOf(name)
      .map(([member, label, divisor, digits, moreIsBetter]) => {
        const figure = { member, label, divisor, digits, moreIsBetter, servers: {} };
        for (const server of servers) {
          const values = valuesOf(server, member);
          if (values.length === 0) continue;
          figure.servers[server] = { median: median(values), low: Math.min(...values), high: Math.max(...values), runs: values.length };
        }
        return figure;
      })
      .filter((figure) => Object.keys(figure.servers).length > 0);
  }
  return {
    about: lines.find((line) => line.about)?.about ?? {},
    openssl: lines.find((line) => line.openssl)?.openssl,
    servers,
    cases,
    notes: unique(notes),
  };
}

export const readSummary = (file) => summarize(readFileSync(file, "utf8"));

/** "2 cores of …, Linux …, nginx …" */
export function machineOf({ cores, cpu, kernel, nginx }) {
  return `${cores} cores of ${String(cpu).replaceAll("(R)", "")}, Linux ${kernel}, nginx ${nginx}`;
}

/** "Weft 96182f1, Nchan 1:1.3.6, …", of the servers that were measured. */
export function versionsOf({ about, servers }) {
  return servers.map((server) => `${serverNames[server]} ${about.versions?.[server] ?? "?"}`).join(", ");
}
