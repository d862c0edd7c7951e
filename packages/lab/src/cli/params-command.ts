/** `lowrank params`: what an adapter configuration trains, counted on a model that has shapes and no memory. */
import { architectureFor, metaModel } from "@lowrank/models";
import { attach, parseAdapterConfig } from "@lowrank/peft";
import { quote } from "@lowrank/tensor";
import { readText, statOf } from "../data/read-file.ts";
import { asInput, InputError } from "../errors.ts";
import type { ModuleRow } from "../store/result.ts";
import { moduleTable } from "../study/module-table.ts";
import { formatCount } from "../text/format.ts";
import { parseJson } from "@lowrank/tensor/check";
import { cut } from "../text/shown.ts";
import { moduleRows } from "../bases/module-rows.ts";
import { EXIT_OK } from "./outcome.ts";

/** Configurations are a few kilobytes; what is larger is another file. */
const LARGEST_CONFIG = 2 ** 24;

export interface ParamsOptions {
  readonly modelConfig: string;
  readonly adapterConfig: string;
  readonly json?: boolean;
}

export async function paramsCommand(options: ParamsOptions): Promise<number> {
  const modelConfig = readJson("--model-config", options.modelConfig);
  const adapterConfig = readJson("--adapter-config", options.adapterConfig);
  const report = named(options, () => count(modelConfig, adapterConfig));
  for (const warning of report.warnings) process.stderr.write(`warning: ${options.adapterConfig}: ${warning}\n`);
  if (options.json === true) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else {
    process.stdout.write(`${moduleTable(report.modules)}\n\n`);
    process.stdout.write(
      `trainable ${formatCount(report.trainable)} || effective ${formatCount(report.effective)} || all ${formatCount(report.total)} || trainable% ${report.percent.toFixed(4)}\n`,
    );
  }
  return EXIT_OK;
}

/** Errors call the files what Hugging Face calls them; people know them by the paths that they gave. */
function named<T>({ modelConfig, adapterConfig }: ParamsOptions, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      error.message.replace(/^(adapter_)?config\.json/, (_, adapter?: string) =>
        adapter === undefined ? modelConfig : adapterConfig,
      ),
      { cause: error },
    );
  }
}

export interface ParamsReport {
  readonly architecture: string;
  readonly trainable: number;
  readonly effective: number;
  readonly total: number;
  readonly percent: number;
  readonly modules: readonly ModuleRow[];
  /** What the adapter's file says and nothing comes of: names and patterns that match no module. */
  readonly warnings: readonly string[];
}

/** Counts from the two files' contents. */
export function count(
  modelConfig: Readonly<Record<string, unknown>>,
  adapterConfig: Readonly<Record<string, unknown>>,
): ParamsReport {
  return asInput(() => {
    const config = parseAdapterConfig(adapterConfig);
    const architecture = architectureFor(modelConfig, config.taskType);
    const { trainable, effective, total, percent, table, warnings } = attach(
      metaModel(architecture, modelConfig),
      config,
    ).report();
    return { architecture, trainable, effective, total, percent, modules: moduleRows(table), warnings };
  });
}

function readJson(option: string, path: string): Record<string, unknown> {
  if (statOf(path) === undefined) throw new InputError(`${option}: no such file: ${cut(path)}`);
  const value = asInput(() => parseJson(readText(path, LARGEST_CONFIG), path));
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InputError(`${path}: expected a JSON object, got ${quote(value)}`);
  return value as Record<string, unknown>;
}
