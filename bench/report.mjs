// Prints what run.sh wrote as a Markdown table of medians, with Weft's ratio to each peer, and leaves the same as JSON
// beside it.
// usage: node report.mjs FILE.jsonl. The JSON lands in FILE.summary.json.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { caseNames, machineOf, readSummary, serverNames, versionsOf } from "./figures.mjs";

function tableOf({ cases, servers }) {
  const peers = servers.includes("weft") ? servers.filter((server) => server !== "weft") : [];
  const table = [["case", "figure", ...servers.map((server) => serverNames[server]), ...peers.map((peer) => `Weft ÷ ${serverNames[peer]}`)]];
  for (const [name, figures] of Object.entries(cases)) {
    figures.forEach(({ label, divisor, digits, moreIsBetter, servers: values }, index) => {
      const figure = (value) => (value / divisor).toFixed(digits);
      const cell = (value) => {
        if (!value) return "–";
        return value.runs === 1 ? figure(value.median) : `${figure(value.median)} (${figure(value.low)}–${figure(value.high)})`;
      };
      // A part of the whole has no peer to stand beside.
      const comparable = (peer) => values.weft && values[peer]?.median && !label.startsWith("…");
      const ratio = (peer) => (comparable(peer) ? `${(values.weft.median / values[peer].median).toFixed(2)} ×` : "–");
      const what = index === 0 ? `${caseNames[name] ?? name} (\`${name}\`)` : "";
      table.push([what, `${label} ${moreIsBetter ? "↑" : "↓"}`, ...servers.map((server) => cell(values[server])), ...peers.map(ratio)]);
    });
  }
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const lines = table.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`);
  lines.splice(1, 0, `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`);
  return lines;
}

/** The whole report as Markdown. */
export function reportOf(summary) {
  const { about, openssl, notes } = summary;
  const command = about.command ? ` by \`${about.command}\`` : "";
  const lines = [
    `Taken ${about.date}${command} on ${machineOf(about)}; load average ${about.load_at_start} at the start.`,
    `Versions: ${versionsOf(summary)}.`,
    `Medians (lowest–highest) of interleaved rounds of ${about.seconds} s; ↑ more is better, ↓ less is better.`,
    "",
    ...tableOf(summary),
    "",
  ];
  if (openssl) lines.push(`${openssl.openssl} alone keeps ${Math.round(openssl.bytes_per_connection)} bytes for a server's idle TLS 1.3 connection.`, "");
  if (notes.length === 0) lines.push("Every subscriber received every publication once and in order.");
  else lines.push("Not clean, and left out of the medians:", ...notes.map((note) => `- ${note}`));
  return `${lines.join("\n")}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = process.argv[2];
  const summary = readSummary(file);
  process.stdout.write(reportOf(summary));
  writeFileSync(file.replace(/\.jsonl$/, ".summary.json"), `${JSON.stringify(summary, null, 1)}\n`);
}
