/** `lowrank gc`: what no run needs any more is listed, and removed when that is wanted. */
import { createInterface } from "node:readline/promises";
import { printable } from "@lowrank/tensor/check";
import { InputError } from "../errors.ts";
import { findGarbage, removeGarbage, type Garbage } from "../store/garbage.ts";
import { renderColumns } from "../text/columns.ts";
import { formatBytes } from "../text/format.ts";
import { storesAt } from "./found-runs.ts";
import { EXIT_OK } from "./outcome.ts";

export interface GcOptions {
  readonly out: string;
  readonly interrupted?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export async function gcCommand(options: GcOptions): Promise<number> {
  if (options.dryRun === true && options.yes === true)
    throw new InputError("--dry-run removes nothing and --yes removes without asking; leave one of them out");
  const found = storesAt(options.out).flatMap((store) => findGarbage(store, options.interrupted === true));
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true && options.json !== true;
  const asking = options.yes !== true && options.dryRun !== true && terminal;
  if (options.json !== true) process.stdout.write(`${listed(found)}\n`);
  const agreed = found.length > 0 && (options.yes === true || (asking && (await confirmed(found))));
  const removed = agreed ? found.filter(removeGarbage) : [];
  if (options.json === true)
    process.stdout.write(
      `${JSON.stringify(
        found.map((one) => ({
          run: one.entry.name,
          path: one.path,
          why: one.why,
          files: one.files,
          bytes: one.bytes,
          removed: removed.includes(one),
        })),
        null,
        2,
      )}\n`,
    );
  else if (agreed)
    process.stdout.write(
      `removed ${removed.length} of ${found.length}, ${formatBytes(total(removed))}${removed.length < found.length ? "; the rest is gone already, or somebody works on it again" : ""}\n`,
    );
  else if (found.length > 0) process.stdout.write(`nothing is removed${asking ? "" : "; --yes removes it"}\n`);
  return EXIT_OK;
}

function listed(found: readonly Garbage[]): string {
  if (found.length === 0) return "nothing to remove";
  return renderColumns(
    [{ title: "folder" }, { title: "why" }, { title: "files", align: "right" }, { title: "size", align: "right" }],
    [
      ...found.map((one) => [printable(one.path), one.why, String(one.files), formatBytes(one.bytes)]),
      ["in all", "", String(found.reduce((sum, { files }) => sum + files, 0)), formatBytes(total(found))],
    ],
  );
}

function total(found: readonly Garbage[]): number {
  return found.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function confirmed(found: readonly Garbage[]): Promise<boolean> {
  const asked = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const what = found.length === 1 ? "this folder" : `these ${found.length} folders`;
    return /^y(es)?$/i.test((await asked.question(`remove ${what}, ${formatBytes(total(found))}? [y/N] `)).trim());
  } finally {
    asked.close();
  }
}
