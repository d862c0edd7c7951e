/** Predictions as files: JSON lines, byte for byte as a run leaves them, or CSV with a column for each number. */
import { randomUUID } from "node:crypto";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { quote } from "@lowrank/tensor";
import { stringify } from "csv-stringify/sync";
import { InputError } from "../errors.ts";
import type { Answered } from "../fit/predictor.ts";
import { answerLine } from "../tasks/rows/scorer.ts";

const FORMS: Readonly<Record<string, (answered: Answered) => string>> = { ".jsonl": jsonLines, ".csv": csv };

/** @param path where they are wanted; absent: JSON lines on stdout. Known before anything is computed. @throws InputError for an end that is no form */
export function predictionWriter(path: string | undefined): (answered: Answered) => void {
  if (path === undefined) return (answered) => void process.stdout.write(jsonLines(answered));
  const form = Object.entries(FORMS).find(([end]) => path.toLowerCase().endsWith(end))?.[1];
  if (form === undefined)
    throw new InputError(`--out ${quote(path)}: expected a file that ends in ${Object.keys(FORMS).join(" or ")}`);
  return (answered) => {
    mkdirSync(dirname(path), { recursive: true });
    const temporary = `${path}.${randomUUID()}.tmp`;
    writeFileSync(temporary, form(answered));
    renameSync(temporary, path);
  };
}

function jsonLines({ rows, answers }: Answered): string {
  return answers.map((answer, i) => `${answerLine(rows.items[i]!, answer)}\n`).join("");
}

/** Maps of numbers have a column for each (`probabilities.positive`), lists are one cell with commas. */
function csv({ rows, answers }: Answered): string {
  const lines = answers.map(({ fields }, i) => ({ index: rows.items[i]!.row, ...flat(fields) }));
  return stringify(lines, { header: true, columns: [...new Set(lines.flatMap((line) => Object.keys(line)))] });
}

function flat(fields: Readonly<Record<string, unknown>>, before = ""): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]): [string, unknown][] => {
      if (Array.isArray(value)) return [[before + name, value.map(cell).join(",")]];
      return typeof value === "object" && value !== null
        ? Object.entries(flat(value as Record<string, unknown>, `${before}${name}.`))
        : [[before + name, value]];
    }),
  );
}

function cell(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
