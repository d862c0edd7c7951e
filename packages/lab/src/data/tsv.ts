/** GLUE's tab-separated files, read strictly: exact header, exact number of columns, labels in range. No quoting, as GLUE writes none. */
import { readFileSync } from "node:fs";
import { InputError } from "../errors.ts";
import { nearestName } from "@lowrank/tensor/check";

export interface LabelledText {
  readonly text: string;
  readonly label: number;
}

/** Rows of a `sentence<TAB>label` file. Throws InputError with file and line for anything else. */
export function readLabelledTsv(path: string, labels: number): LabelledText[] {
  return parseLabelledTsv(readFileSync(path, "utf8"), path, labels);
}

/** As `readLabelledTsv`, from text; `name` is what errors call the file. */
export function parseLabelledTsv(content: string, name: string, labels: number): LabelledText[] {
  const lines = content.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  if (lines.length === 0) throw new InputError(`${name}: empty file; expected the header "sentence<TAB>label"`);
  checkHeader(lines[0]!, name);
  if (lines.length === 1) throw new InputError(`${name}: no rows after the header`);
  return lines.slice(1).map((line, i) => {
    const where = `${name}:${i + 2}`;
    const cells = line.split("\t");
    if (cells.length !== 2) throw new InputError(`${where}: ${cells.length} column(s), expected 2 (sentence, label)`);
    const [text, label] = cells as [string, string];
    if (text.trim() === "") throw new InputError(`${where}: empty sentence`);
    if (!/^\d+$/.test(label) || Number(label) >= labels) {
      throw new InputError(`${where}: label ${JSON.stringify(label)} is not one of 0…${labels - 1}`);
    }
    return { text, label: Number(label) };
  });
}

function checkHeader(header: string, name: string): void {
  const expected = ["sentence", "label"];
  const found = header.split("\t");
  for (const column of expected) {
    if (found.includes(column)) continue;
    const near = nearestName(column, found);
    const hint = near === undefined ? "" : `; rename "${near}" to "${column}"?`;
    throw new InputError(`${name}: column "${column}" is missing; the header is ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}${hint}`);
  }
  if (found.length !== 2 || found[0] !== "sentence") {
    throw new InputError(`${name}: the header is ${JSON.stringify(found)}, expected exactly ${JSON.stringify(expected)} in this order`);
  }
}
