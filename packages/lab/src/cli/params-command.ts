/** `lowrank params`: what an adapter configuration trains, counted on a model that has shapes and no memory. */
import { existsSync, readFileSync } from "node:fs";
import { architectureFor, architectures, metaModel } from "@lowrank/models";
import { attach, parseAdapterConfig } from "@lowrank/peft";
import { InvariantError, LowrankError } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { moduleTable } from "../study/module-table.ts";
import { formatCount } from "../text/format.ts";
import { suggestion } from "@lowrank/tensor/check";
import { EXIT_OK } from "./outcome.ts";

export interface ParamsOptions {
  readonly modelConfig: string;
  readonly adapterConfig: string;
  readonly json?: boolean;
}

export async function paramsCommand(options: ParamsOptions): Promise<number> {
  const modelConfig = readJson("--model-config", options.modelConfig);
  const adapterConfig = readJson("--adapter-config", options.adapterConfig);
  const report = count(modelConfig, adapterConfig);
  for (const warning of report.warnings) process.stderr.write(`warning: ${options.adapterConfig}: ${warning}\n`);
  if (options.json === true) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else {
    process.stdout.write(`${moduleTable(report.modules)}\n\n`);
    process.stdout.write(`trainable ${formatCount(report.trainable)} || effective ${formatCount(report.effective)} || all ${formatCount(report.total)} || trainable% ${report.percent.toFixed(4)}\n`);
  }
  return EXIT_OK;
}

export interface ParamsReport {
  readonly architecture: string;
  readonly trainable: number;
  readonly effective: number;
  readonly total: number;
  readonly percent: number;
  readonly modules: readonly { readonly module: string; readonly in: number; readonly out: number; readonly rank: number; readonly scale: number; readonly parameters: number }[];
  /** What the adapter's file says and nothing comes of: names and patterns that match no module. */
  readonly warnings: readonly string[];
}

/** Counts from the two files' contents. */
export function count(modelConfig: Readonly<Record<string, unknown>>, adapterConfig: Readonly<Record<string, unknown>>): ParamsReport {
  try {
    const config = parseAdapterConfig(adapterConfig);
    const architecture = chooseArchitecture(modelConfig, config.taskType);
    const { trainable, effective, total, percent, table, warnings } = attach(metaModel(architecture, modelConfig), config).report();
    const modules = table.map(({ module, inFeatures, outFeatures, rank, scale, parameters }) => ({ module, in: inFeatures, out: outFeatures, rank, scale, parameters }));
    return { architecture, trainable, effective, total, percent, modules, warnings };
  } catch (error) {
    if (error instanceof LowrankError && !(error instanceof InvariantError) && !(error instanceof InputError)) throw new InputError(error.message, { cause: error });
    throw error;
  }
}

/** The models' own rule; a class that is not built gets a suggestion. */
function chooseArchitecture(modelConfig: Readonly<Record<string, unknown>>, taskType: string | undefined): string {
  try {
    return architectureFor(modelConfig, taskType);
  } catch (error) {
    const names = modelConfig["architectures"];
    const first = Array.isArray(names) ? String(names[0]) : undefined;
    if (first === undefined || Object.hasOwn(architectures, first)) throw error;
    throw new InputError(`--model-config: architecture "${first}" is not built${suggestion(first, Object.keys(architectures))}`, { cause: error });
  }
}

function readJson(option: string, path: string): Record<string, unknown> {
  if (!existsSync(path)) throw new InputError(`${option}: no such file: ${path}`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new InputError(`${path}: not valid JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new InputError(`${path}: expected a JSON object`);
  return value as Record<string, unknown>;
}
