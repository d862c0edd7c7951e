/** `lowrank export`, and `lowrank merge`, which is an export of a whole model. */
import { printable } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { exportTo } from "../exports/export.ts";
import type { Cost } from "../exports/merged.ts";
import { EXPORTS } from "../exports/registry.ts";
import type { ExportTarget, Report, Step } from "../exports/target.ts";
import { progressMode, startProgress } from "../text/progress.ts";
import { openDevice } from "./device.ts";
import type { DeviceChoice } from "./options.ts";
import { EXIT_OK } from "./outcome.ts";

export interface LeavingOptions {
  readonly adapter?: string;
  readonly base?: string;
  readonly revision?: string;
  readonly type?: string;
  readonly keep?: boolean;
  readonly out: string;
  readonly force?: boolean;
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export async function exportCommand({ to, ...options }: LeavingOptions & { readonly to: string }): Promise<number> {
  return leave(
    EXPORTS.find(({ name }) => name === to)!,
    options,
  );
}

/** A file of llama.cpp where the name says so, else a Hugging Face folder. */
export async function mergeCommand(options: LeavingOptions): Promise<number> {
  if (options.adapter === undefined) throw new InputError("merge needs an adapter; give --adapter");
  const to = /\.gguf$/i.test(options.out) ? "gguf" : "hf";
  return leave(
    EXPORTS.find(({ name }) => name === to)!,
    options,
  );
}

async function leave(target: ExportTarget, options: LeavingOptions): Promise<number> {
  const { adapter, base, revision, type, keep = false, out, force = false, json = false } = options;
  if (keep && target.name !== "hf")
    throw new InputError(
      `--keep: says how merged weights of a Hugging Face folder are kept; leave it out of ${target.name}`,
    );
  const report = await working(options, async (device, step) =>
    exportTo(target, { adapter, base, revision, out, force, choice: { type, keep } }, device, step),
  );
  for (const warning of report.warnings ?? []) process.stderr.write(`warning: ${printable(warning)}\n`);
  say({ to: target.name, out, merged: report.merged ?? null, notes: report.notes }, lines(target, out, report), json);
  return EXIT_OK;
}

/** Opens the device, shows how far it is, and closes both. */
export async function working<T>(
  { quiet = false, ...options }: Pick<LeavingOptions, "device" | "threads" | "quiet">,
  body: (device: Awaited<ReturnType<typeof openDevice>>, step: Step) => Promise<T>,
): Promise<T> {
  const device = await openDevice(options);
  const started = startProgress(progressMode(quiet), "exporting", 100);
  try {
    return await body(device, (what, done, total) => started.update(Math.floor((100 * done) / total), what));
  } finally {
    started.stop();
    device.close();
  }
}

export function say(record: object, text: readonly string[], json: boolean): void {
  process.stdout.write(json ? `${JSON.stringify({ version: 1, ...record }, null, 2)}\n` : `${text.join("\n")}\n`);
}

function lines({ name }: ExportTarget, out: string, { merged, notes }: Report): string[] {
  return [
    `${out}: ${name}`,
    ...(merged === undefined ? [] : [costLine(merged)]),
    ...notes.map((note) => `note: ${note}`),
  ];
}

function costLine({ modules, largest, relative, worst, forms }: Cost): string {
  const how = forms.length === 0 ? "rounded" : `quantized as ${forms.join(", ")}`;
  const where =
    worst === null || relative === 0 ? "" : `, at most ${(100 * relative).toPrecision(3)} % of a weight (${worst})`;
  return `merged into ${modules} modules, ${how}: off by at most ${largest.toExponential(2)}${where}`;
}
