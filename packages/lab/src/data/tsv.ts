/**
 * GLUE's tab-separated files, read strictly: exact header, exact number of columns, labels in range. GLUE writes no quoting: quotes belong
 * to the text. pandas' `to_csv(sep="\t")` does quote a field that holds one, and doubles those inside; a file that it wrote is recognized
 * as a whole and read as it was meant.
 */
import { quote } from "@lowrank/tensor";
import { nearestName } from "@lowrank/tensor/check";
import { InputError } from "../errors.ts";
import { isQuoted, QUOTED } from "./quoting.ts";
import { readText } from "./read-file.ts";

export interface LabelledText {
  readonly text: string;
  readonly label: number;
}

/** Rows of a `sentence<TAB>label` file. Throws InputError with file and line for anything else. */
export function readLabelledTsv(path: string, labels: number): LabelledText[] {
  return parseLabelledTsv(readText(path), path, labels);
}

/** As `readLabelledTsv`, from text; `name` is what errors call the file. */
export function parseLabelledTsv(content: string, name: string, labels: number): LabelledText[] {
  const lines = content.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  if (lines.length === 0) throw new InputError(`${name}: empty file; expected the header "sentence<TAB>label"`);
  const table = lines.map((line) => line.split("\t"));
  const quoted = isQuoted(table, name);
  checkHeader(
    table[0]!.map((cell) => (quoted ? unquoted(cell) : cell)),
    name,
  );
  if (table.length === 1) throw new InputError(`${name}: no rows after the header`);
  return table.slice(1).map((cells, i) => {
    const where = `${name}:${i + 2}`;
    if (cells.length !== 2) throw new InputError(`${where}: ${cells.length} column(s), expected 2 (sentence, label)`);
    const [text, label] = (quoted ? cells.map(unquoted) : cells) as [string, string];
    if (text.trim() === "") throw new InputError(`${where}: empty sentence`);
    if (!/^\d+$/.test(label) || Number(label) >= labels) {
      throw new InputError(`${where}: label ${quote(label)} is not one of 0…${labels - 1}`);
    }
    return { text, label: Number(label) };
  });
}

function unquoted(cell: string): string {
  return QUOTED.test(cell) ? cell.slice(1, -1).replaceAll('""', '"') : cell;
}

function checkHeader(found: readonly string[], name: string): void {
  const expected = ["sentence", "label"];
  for (const column of expected) {
    if (found.includes(column)) continue;
    const near = nearestName(column, found);
    const hint = near === undefined ? "" : `; rename ${quote(near)} to "${column}"?`;
    throw new InputError(
      `${name}: column "${column}" is missing; the header is ${quote(found)}, expected ${JSON.stringify(expected)}${hint}`,
    );
  }
  if (found.length !== 2 || found[0] !== "sentence") {
    throw new InputError(
      `${name}: the header is ${quote(found)}, expected exactly ${JSON.stringify(expected)} in this order`,
    );
  }
}
