// Recomputes every difference that a report claims from the committed lines, with none of our code: node experiments/rank-allocation/check.mjs [RESULTS] [REPORT]
import { readdirSync, readFileSync } from "node:fs";
const [results, report] = ["results", "report"].map(
  (name, i) => process.argv[i + 2] ?? new URL(name, import.meta.url).pathname,
);
const values = {};
const files = readdirSync(results).filter((file) => file.endsWith(".jsonl"));
for (const line of files.flatMap((file) => readFileSync(`${results}/${file}`, "utf8").trim().split("\n"))) {
  const { outcome, code, result, decisions } = JSON.parse(line);
  if (outcome !== "finished") continue;
  // accuracy is counted from the decisions' digits; what else there is is what the line says
  const [said, right] = [decisions?.predicted.$digits, decisions?.labels.$digits];
  const accuracy = said && [...said].filter((digit, i) => digit === right[i]).length / said.length;
  values[`${code.slice(0, 12)} ${result.name}`] = { ...result.final, ...(said ? { accuracy } : {}) };
}
const [names, ...rows] = readFileSync(`${report}/claims.csv`, "utf8")
  .trim()
  .split("\n")
  .map((row) => row.match(/("([^"]|"")*"|[^,]*)(,|$)/g).map((cell) => cell.replace(/,$/, "")));
let differ = 0;
for (const row of rows.map((cells) => Object.fromEntries(names.map((name, i) => [name, cells[i]])))) {
  if (row.kind === "change" || row.n === "0") continue;
  const pairs = row.pairs
    .split(";")
    .map((pair) => pair.split(" ").map((name) => values[`${row.code} ${name}`][row.metric]));
  const mean = pairs.reduce((sum, [a, b]) => sum + a - b, 0) / pairs.length;
  const agrees = pairs.length === Number(row.n) && Math.abs(mean - row.mean) < 1e-12;
  if (!agrees) differ++;
  console.log(
    `${agrees ? "agrees" : "DIFFERS"}: ${row.study}, ${row.claim}: ${row.first} minus ${row.second} in ${row.metric}, n = ${pairs.length}: ${mean}`,
  );
}
process.exit(differ === 0 ? 0 : 1);
