/** `lowrank show`: all of one run. */
import { join } from "node:path";
import { printable } from "@lowrank/tensor/check";
import { stringify } from "yaml";
import { InputError } from "../errors.ts";
import { metricWords, metricNames } from "../metrics/of-evaluation.ts";
import { checkDigests } from "../store/digests.ts";
import { rankMap } from "../store/rank-map.ts";
import { readRun, type RunDetail } from "../store/read-run.ts";
import { numberOf, objectOf, textOf } from "../store/run-files.ts";
import { renderColumns } from "../text/columns.ts";
import { formatBytes, formatCount, formatDuration } from "../text/format.ts";
import { runNamed, storesAt } from "./found-runs.ts";
import { EXIT_BAD_INPUT, EXIT_OK } from "./outcome.ts";

export interface ShowOptions {
  readonly out: string;
  readonly json?: boolean;
}

export function showCommand(said: string, options: ShowOptions): number {
  const { store, folder, state, why } = runNamed(storesAt(options.out), said);
  const path = join(store.folder, folder);
  if (state === "foreign") throw new InputError(`${path}: ${why ?? "is no run"}; "lowrank ls" lists what is there`);
  const damage = state === "finished" ? damageOf(path) : undefined;
  const detail = readRun(store.folder, folder);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ path, ...detail, damage: damage ?? null }, null, 2)}\n`
      : `${text(path, detail, damage)}\n`,
  );
  return damage === undefined && state !== "damaged" ? EXIT_OK : EXIT_BAD_INPUT;
}

/** What the digests say. */
function damageOf(path: string): string | undefined {
  try {
    checkDigests(path, "move the folder away or delete it, and the run is made again");
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
}

function text(path: string, detail: RunDetail, damage: string | undefined): string {
  const { entry } = detail;
  const head = [
    printable(`${entry.name}: ${entry.state}${entry.why === undefined ? "" : `, ${entry.why}`}`),
    ...(entry.holder === undefined ? [] : [`made by process ${entry.holder.pid} on ${printable(entry.holder.host)}`]),
    `in ${printable(path)}`,
    ...(damage === undefined ? [] : [`DAMAGED: ${printable(damage)}`]),
    ...(entry.warnings ?? []).map((line) => `WARNING: ${printable(line)}`),
  ];
  const parts: [string, string | undefined][] = [
    ["", head.join("\n")],
    ["result", resultText(detail)],
    ["proofs", proofsText(detail)],
    ["measures", measuresText(detail)],
    ["ranks", rankText(detail)],
    ["config", printableLines(stringify(detail.config))],
    ["files", filesText(detail)],
  ];
  return parts
    .flatMap(([title, body]) => (body === undefined || body === "" ? [] : [title === "" ? body : `${title}\n${body}`]))
    .join("\n\n");
}

function resultText({ entry, result }: RunDetail): string | undefined {
  const final = objectOf(result?.["final"]);
  const facts = [
    ["config", entry.config],
    ["method", entry.method],
    ["task", entry.task],
    ["seed", entry.seed],
    ["study", entry.study],
    [
      "steps",
      entry.steps === undefined || entry.steps === entry.step ? entry.step : `${entry.step ?? 0} of ${entry.steps}`,
    ],
    ["loss", entry.loss],
  ] as const;
  const scores = final ?? entry.metrics;
  const metrics = metricNames(scores).map((name) => `  ${printable(metricWords(scores, name))}`);
  const lines = facts.flatMap(([label, value]) =>
    value === undefined ? [] : [`  ${label} ${printable(String(value))}`],
  );
  const before = objectOf(result?.["start"]);
  const start =
    before === undefined
      ? []
      : [
          `  before the first step: ${[`loss ${before["loss"]}`, ...metricNames(before).map((name) => metricWords(before, name))].map(printable).join(", ")}`,
        ];
  const trained = objectOf(result?.["parameters"]);
  const trainable = numberOf(trained?.["trainable"]);
  const total = numberOf(trained?.["total"]);
  const counts =
    trainable === undefined || total === undefined
      ? []
      : [`  ${formatCount(trainable)} of ${formatCount(total)} parameters trained`];
  return [...lines, ...metrics, ...start, ...counts].join("\n");
}

function proofsText({ proofs }: RunDetail): string {
  return proofs
    .map(({ name, holds, detail }) => {
      const numbers = Object.entries(detail).flatMap(([key, value]) =>
        typeof value === "number" || typeof value === "string" ? [`${key} ${value}`] : [],
      );
      return printable(
        `  ${holds ? "holds" : "FAILS"}  ${name}${numbers.length === 0 ? "" : `  (${numbers.join(", ")})`}`,
      );
    })
    .join("\n");
}

function measuresText({ measures }: RunDetail): string | undefined {
  const seconds = objectOf(measures?.["seconds"]);
  const memory = objectOf(measures?.["memory"]);
  const speed = objectOf(measures?.["speed"]);
  const host = objectOf(measures?.["host"]);
  const said = (value: number | undefined, format: (value: number) => string, what: string): string[] =>
    value === undefined ? [] : [`  ${what} ${format(value)}`];
  return [
    ...said(numberOf(seconds?.["total"]), formatDuration, "time"),
    ...said(numberOf(seconds?.["perStep"]), (value) => `${(1000 * value).toFixed(1)} ms`, "step"),
    ...said(numberOf(speed?.["tokensPerSecond"]), (value) => formatCount(Math.round(value)), "tokens/s"),
    ...said(numberOf(speed?.["gflops"]), (value) => value.toFixed(1), "GFLOP/s"),
    ...said(numberOf(memory?.["peakRssBytes"]), formatBytes, "peak memory of the process"),
    ...said(numberOf(memory?.["arenaBytes"]), formatBytes, "arena"),
    ...(textOf(host?.["cpu"]) === undefined ? [] : [`  on ${printable(textOf(host?.["cpu"])!)}`]),
  ].join("\n");
}

/** The last ranks of every module: a line for each layer, a column for each kind of module. */
function rankText(detail: RunDetail): string | undefined {
  const map = rankMap(detail);
  if (map === undefined) return undefined;
  const head =
    map.step === undefined
      ? []
      : [`  after step ${map.step}${map.budget === undefined ? "" : `, budget ${map.budget}`}`];
  const table = renderColumns(
    [{ title: "layer" }, ...map.kinds.map((kind) => ({ title: printable(kind), align: "right" as const }))],
    map.layers.map(({ layer, ranks }) => [
      printable(layer),
      ...ranks.map((rank) => (rank === null ? "" : String(rank))),
    ]),
  );
  return [...head, table].join("\n");
}

function filesText({ files }: RunDetail): string {
  return renderColumns(
    [{ title: "file" }, { title: "size", align: "right" }],
    files.map(({ file, bytes }) => [printable(file), formatBytes(bytes)]),
  );
}

function printableLines(lines: string): string {
  return lines
    .trimEnd()
    .split("\n")
    .map((line) => `  ${printable(line)}`)
    .join("\n");
}
