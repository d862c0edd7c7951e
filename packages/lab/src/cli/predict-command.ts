/** `lowrank predict` and `lowrank eval`: what a trained adapter or model says of the rows of a file, and what that is worth. */
import { join, resolve } from "node:path";
import { directory, printable, quote, type Device } from "@lowrank/tensor";
import { baseWord } from "../bases/found.ts";
import { leftAlone, otherBase } from "../bases/unlike.ts";
import { statOf } from "../data/read-file.ts";
import { readTableAt } from "../data/read-table.ts";
import type { ColumnWords } from "../data/table/columns.ts";
import { InputError } from "../errors.ts";
import { openPredictor } from "../fit/open-predictor.ts";
import type { Answered, Predictor } from "../fit/predictor.ts";
import { metricNames, metricWords } from "../metrics/of-evaluation.ts";
import { metrics } from "../metrics/registry.ts";
import { loadPlugins } from "../plugins/load.ts";
import { MANIFEST } from "../records/manifest.ts";
import { formatCount, formatNumber } from "../text/format.ts";
import { openDevice } from "./device.ts";
import type { DeviceChoice } from "./options.ts";
import { EXIT_OK } from "./outcome.ts";
import { predictionWriter } from "./predictions.ts";
import { untilSignal } from "./signals.ts";

export interface PredictOptions {
  readonly adapter?: string;
  readonly model?: string;
  readonly base?: string;
  readonly data: string;
  readonly out?: string;
  readonly column?: readonly string[];
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly plugin?: string[];
  readonly quiet?: boolean;
}

export interface EvalOptions extends PredictOptions {
  readonly metrics?: string;
  readonly json?: boolean;
}

export async function predictCommand(options: PredictOptions): Promise<number> {
  const write = predictionWriter(options.out);
  return opened(options, async (model, columns) => {
    const answered = await model.answer(await readTableAt(options.data), columns);
    sayCut(answered, model, options);
    write(answered);
    if (options.out !== undefined && options.quiet !== true)
      process.stderr.write(`${formatCount(answered.answers.length)} predictions: ${printable(options.out)}\n`);
  });
}

export async function evalCommand(options: EvalOptions): Promise<number> {
  const write = options.out === undefined ? undefined : predictionWriter(options.out);
  return opened(options, async (model, columns) => {
    const table = await readTableAt(options.data);
    const evaluated = await model.evaluate(table, metricsOf(options.metrics, model), columns);
    sayCut(evaluated, model, options);
    write?.(evaluated);
    const { loss, metrics: values, warnings } = evaluated;
    const report = { rows: evaluated.answers.length, ...(loss === undefined ? {} : { loss }), ...values };
    for (const warning of warnings) process.stderr.write(`warning: ${printable(warning)}\n`);
    const lines = [
      ...metricNames(values).map((name) => metricWords(values, name)),
      ...(loss === undefined ? [] : [`loss ${formatNumber(loss, 4)}`]),
      `rows ${formatCount(report.rows)}`,
    ];
    process.stdout.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : `${lines.join("\n")}\n`);
  });
}

/** An answer about a part of a text is not one about the text. */
function sayCut({ rows, answers, cut }: Answered, { use }: Predictor, { quiet }: PredictOptions): void {
  if (cut > 0 && quiet !== true)
    process.stderr.write(
      `${printable(rows.name)}: ${formatCount(cut)} of ${formatCount(answers.length)} rows are longer than the ${use.maxLength} tokens that the model was trained with and were cut\n`,
    );
}

async function opened(
  options: PredictOptions,
  body: (model: Predictor, columns: ColumnWords | undefined) => Promise<void>,
): Promise<number> {
  await loadPlugins(options.plugin ?? []);
  const folder = folderOf(options);
  const device: Device = await openDevice(options);
  try {
    await untilSignal(async () => {
      const base = options.base === undefined ? undefined : baseWord(options.base);
      if (base !== undefined) warn([await otherBase(directory(folder), base)]);
      const model = await openPredictor(folder, {
        device,
        base,
        onAdapter: (on, adapter) =>
          warn([...adapter.warnings, base === undefined ? undefined : leftAlone(on, adapter)]),
        beside: (path) => resolve(folder, path),
      });
      try {
        await body(model, columnsOf(options.column, model));
      } finally {
        model.dispose();
      }
    });
    return EXIT_OK;
  } finally {
    device.close();
  }
}

function warn(lines: readonly (string | undefined)[]): void {
  for (const line of lines) if (line !== undefined) process.stderr.write(`warning: ${printable(line)}\n`);
}

/** The folder with `lowrank.json`: the one that was named, or the adapter or checkpoint in a run's folder. */
function folderOf({ adapter, model }: PredictOptions): string {
  if ((adapter === undefined) === (model === undefined))
    throw new InputError("give one of --adapter DIR and --model DIR: what a run or a training left");
  const [option, given] = adapter === undefined ? ["--model", model!] : ["--adapter", adapter];
  const [inside, needed] = adapter === undefined ? ["checkpoint", "config.json"] : ["adapter", "adapter_config.json"];
  if (statOf(given) === undefined) throw new InputError(`${option} ${quote(given)}: there is no such folder`);
  const folder = [given, join(given, inside)].find((path) => statOf(join(path, MANIFEST)) !== undefined);
  if (folder === undefined)
    throw new InputError(
      `${option} ${quote(given)}: there is no ${MANIFEST} in it, which says what the model answers; give the folder that a run on rows left`,
    );
  if (statOf(join(folder, needed)) === undefined)
    throw new InputError(
      `${option} ${quote(folder)}: holds no ${needed}; give it as ${adapter === undefined ? "--adapter" : "--model"}`,
    );
  return folder;
}

/** `text=review` over the columns that the model was trained on. */
function columnsOf(words: readonly string[] | undefined, { task, use }: Predictor): ColumnWords | undefined {
  if (words === undefined) return undefined;
  const said = words.map((word): [string, string] => {
    const [role = "", name] = /^([^=]+)=(.+)$/.exec(word)?.slice(1) ?? [];
    if (name === undefined || !Object.hasOwn(task.columns, role))
      throw new InputError(
        `--column ${quote(word)}: expected ROLE=NAME with a role of ${task.name}: ${Object.keys(task.columns).join(", ")}`,
      );
    return [role, name];
  });
  return { ...use.columns, ...Object.fromEntries(said) };
}

function metricsOf(said: string | undefined, { task }: Predictor): readonly string[] {
  if (said === undefined) return task.metrics;
  const names = said.split(",").map((name) => name.trim());
  for (const name of names) {
    const { items } = metrics.get(name);
    if (items !== task.items)
      throw new InputError(
        `--metrics: the metric ${name} counts ${items}, and the task ${task.name} has ${task.items}`,
      );
  }
  return names;
}
