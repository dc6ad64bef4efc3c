// Puts a run's chart and table into docs/, so that no figure there is typed by hand.
// usage: node docs.mjs FILE.jsonl
import { readFileSync, writeFileSync } from "node:fs";

import { chartOf } from "./chart.mjs";
import { readSummary } from "./figures.mjs";
import { reportOf } from "./report.mjs";

const page = new URL("../docs/benchmarks.md", import.meta.url);
const begin = "<!-- figures: written by bench/docs.mjs -->\n";
const end = "<!-- end of figures -->\n";

const summary = readSummary(process.argv[2]);
const text = readFileSync(page, "utf8");
const from = text.indexOf(begin);
const to = text.indexOf(end);
if (from < 0 || to < from) throw new Error(`docs/benchmarks.md has no place for figures: expected ${begin.trim()} and ${end.trim()}`);
writeFileSync(page, text.slice(0, from + begin.length) + reportOf(summary) + text.slice(to));
writeFileSync(new URL("../docs/benchmarks.svg", import.meta.url), chartOf(summary));
console.log("docs/benchmarks.md and docs/benchmarks.svg now show this run");
