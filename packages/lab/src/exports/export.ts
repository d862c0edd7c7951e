/** One export from beginning to end: look first, then open, write, say. */
import type { Device } from "@lowrank/tensor";
import { leftAlone, otherBase } from "../bases/unlike.ts";
import { asInput, InputError } from "../errors.ts";
import { openToLeave, sourcesOf, type Asked } from "./opened.ts";
import { requireApart, requireFree, writeFileAt, writeFolderAt } from "./output.ts";
import type { ExportChoice, ExportTarget, Report, Step } from "./target.ts";

export interface ExportRequest extends Asked {
  readonly out: string;
  readonly force: boolean;
  readonly choice: ExportChoice;
}

/** @throws InputError where something is in the way, nothing is there, or the target has no word for it */
export async function exportTo(
  target: ExportTarget,
  request: ExportRequest,
  device: Device,
  step: Step,
): Promise<Report> {
  const { out, force, choice } = request;
  const { type } = choice;
  if (target.needs === "adapter" && request.adapter === undefined)
    throw new InputError(`--to ${target.name}: needs an adapter; give --adapter`);
  if (type !== undefined && target.types?.includes(type) !== true)
    throw new InputError(
      `--type ${type}: ${target.name} ${target.types === undefined ? "has no such choice; leave it out" : `takes ${target.types.join(", ")}`}`,
    );
  requireFree(out, target.writes, force);
  return asInput(async () => {
    const sources = await sourcesOf(request);
    requireApart(out, [sources.base, ...(sources.files === undefined ? [] : [sources.files.where])]);
    const other =
      sources.files === undefined || request.base === undefined
        ? undefined
        : await otherBase(sources.files, sources.base);
    step("loading", 0, 3);
    const opened = await openToLeave(sources, device);
    try {
      const { adapter, model } = opened;
      const alone = request.base === undefined || adapter === undefined ? undefined : leftAlone(model, adapter);
      let report: Report = { notes: [] };
      if (target.writes === "file")
        await writeFileAt(out, async (files, name) => {
          report = await target.write(opened, files, name, choice, step);
        });
      else
        await writeFolderAt(out, force, async (files) => {
          report = await target.write(opened, files, "", choice, step);
        });
      return { ...report, warnings: [other, alone].filter((line) => line !== undefined) };
    } finally {
      await opened.close();
      opened.model.dispose();
    }
  });
}
