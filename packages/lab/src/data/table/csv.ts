/**
 * CSV and TSV (RFC 4180): a header, quotes around fields that hold separators, quotes or newlines, quotes inside doubled. Any of LF, CRLF and CR ends
 * a row; empty lines and a byte order mark are left out.
 */
import { quote } from "@lowrank/tensor";
import { parse, type CsvError, type InfoRecord } from "csv-parse/browser/esm/sync";
import { InputError } from "../../errors.ts";
import { decodeText } from "../decode-text.ts";
import { isQuoted, QUOTED } from "../quoting.ts";
import { emptyRow, type Row, type Table } from "./table.ts";

/** @throws InputError with file and line for rows of another width than the header, and quotes that do not fit */
export function readCsv(bytes: Uint8Array, name: string): Table {
  return delimited(decodeText(bytes, name), name, ",", true);
}

/** As `readCsv` with tabs. Much TSV has no quoting, so that quotes are text; which is meant is told from the whole file (`quoting.ts`). */
export function readTsv(bytes: Uint8Array, name: string): Table {
  const text = decodeText(bytes, name);
  const cells = text.split(/\r\n|\n|\r/).map((line) => line.split("\t"));
  // a header in quotes says so of all the file: its fields may hold tabs and newlines
  const quoting = cells[0]!.every((cell) => QUOTED.test(cell)) || isQuoted(cells, name);
  return delimited(text, name, "\t", quoting);
}

interface Parsed {
  readonly record: readonly string[];
  readonly info: InfoRecord;
}

function delimited(text: string, name: string, delimiter: string, quoting: boolean): Table {
  const bytes = new TextEncoder().encode(text);
  const records = parsed(text, bytes, name, delimiter, quoting);
  const [header, ...body] = records;
  if (header === undefined)
    throw new InputError(`${name}: empty file; expected a header with the names of the columns`);
  const columns = header.record;
  const twice = columns.find((column, i) => columns.indexOf(column) < i);
  if (twice !== undefined) throw new InputError(`${name}:1: two columns are called ${quote(twice)}; rename one`);
  const lines = linesOf(bytes, records);
  const rows = body.map(({ record }, i): Row => {
    if (record.length !== columns.length)
      throw new InputError(
        `${name}:${lines[i + 1]}: has ${record.length} field${record.length === 1 ? "" : "s"}, the header has ${columns.length}; put a field that holds ${delimiter === "," ? "a comma" : "a tab"} in quotes`,
      );
    const row = emptyRow();
    columns.forEach((column, c) => (row[column] = record[c]));
    return row;
  });
  return { name, columns, rows, place: (i) => `${name}:${lines[i + 1]}` };
}

function parsed(text: string, bytes: Uint8Array, name: string, delimiter: string, quoting: boolean): readonly Parsed[] {
  try {
    return parse(text, {
      delimiter,
      quote: quoting ? '"' : null,
      info: true,
      record_delimiter: ["\r\n", "\n", "\r"],
      relax_column_count: true,
      skip_empty_lines: true,
    }) as unknown as readonly Parsed[];
  } catch (error) {
    const { code, message, bytes: at } = error as CsvError & { readonly bytes?: number };
    if (code === undefined) throw error;
    const line = at === undefined ? "" : `:${1 + newlines(bytes, 0, at)}`;
    throw new InputError(`${name}${line}: ${wrongQuotes(code, message)}`, { cause: error });
  }
}

function wrongQuotes(code: string, message: string): string {
  switch (code) {
    case "CSV_QUOTE_NOT_CLOSED":
      return "a quote is opened and never closed; double quotes that belong to the text";
    case "INVALID_OPENING_QUOTE":
    case "CSV_INVALID_CLOSING_QUOTE":
      return "a quote stands inside a field; put the field in quotes and double those inside";
    default:
      return message;
  }
}

/**
 * The line on which each record begins. The parser's own count takes CRLF inside of quotes for two lines; its bytes are right, and say where a record
 * ends.
 */
function linesOf(bytes: Uint8Array, records: readonly Parsed[]): readonly number[] {
  let [line, at] = [1, 0];
  return records.map(({ info }) => {
    // empty lines before it were left out
    while (bytes[at] === LF || bytes[at] === CR) {
      if (ends(bytes, at)) line++;
      at++;
    }
    const start = line;
    line += newlines(bytes, at, info.bytes);
    at = info.bytes;
    return start;
  });
}

const [LF, CR] = [0x0a, 0x0d];

/** Whether a line ends with the byte at this place. */
function ends(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === LF || (bytes[at] === CR && bytes[at + 1] !== LF);
}

function newlines(bytes: Uint8Array, from: number, to: number): number {
  let count = 0;
  for (let at = from; at < to; at++) if (ends(bytes, at)) count++;
  return count;
}
