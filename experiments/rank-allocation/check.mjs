// Recomputes the headline of the report from the committed lines, with none of our code: node experiments/rank-allocation/check.mjs [DIR]
import { readdirSync, readFileSync } from "node:fs";
const dir = process.argv[2] ?? new URL("results", import.meta.url).pathname;
const files = readdirSync(dir).filter((file) => file.endsWith(".jsonl"));
const groups = {};
for (const line of files.flatMap((file) => readFileSync(`${dir}/${file}`, "utf8").trim().split("\n"))) {
  const { outcome, code, result, resolved, decisions } = JSON.parse(line);
  if (outcome !== "finished") continue;
  const [said, right] = [decisions?.predicted.$digits, decisions?.labels.$digits];
  // accuracy, counted from the digits; of tasks that have none, what the line says
  const value = said ? [...said].filter((d, i) => d === right[i]).length / said.length : result.final.perplexity;
  (groups[`${JSON.stringify(resolved.task)} ${result.config}, code ${code.slice(0, 8)}`] ??= []).push(value);
}
for (const [name, of] of Object.entries(groups))
  console.log(`${name}: mean ${of.reduce((a, b) => a + b) / of.length}, n ${of.length}`);
