/** A table of numbers that grows while it is read: what came since the last look, and whether what was there was cut or replaced. */
import { bytesAt, rowOf, withFile } from "../store/run-files.ts";
import type { WireRows } from "./page/wire.ts";

/** Of what was read last, to tell a file that was cut and has grown again from one that only grew. */
const MARK_BYTES = 128;
const PIECE_BYTES = 2 ** 20;
/** More rows than a chart has points, in the first look at a long file. */
const MOST_ROWS = 2000;

export class TableTail {
  readonly #file: string;
  /** Bytes that were read, up to a line's end. */
  #at = 0;
  #mark: Buffer = Buffer.alloc(0);
  #columns: readonly string[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** Rows that came; undefined where none did. The folder may have another name than before. */
  next(folder: string): WireRows | undefined {
    return withFile(folder, this.#file, (handle, size) => {
      const reset = this.#isOther(handle, size);
      if (reset) [this.#at, this.#mark, this.#columns] = [0, Buffer.alloc(0), []];
      const first = this.#at === 0;
      const lines = this.#lines(handle, size);
      if (first && lines.length > 0) this.#columns = lines.shift()!.split(",");
      if (lines.length === 0 && !reset) return undefined;
      const every = first ? Math.ceil(lines.length / MOST_ROWS) : 1;
      const kept = every <= 1 ? lines : lines.filter((_, i) => i % every === 0 || i === lines.length - 1);
      const rows = kept.map((line) => {
        const row = rowOf(this.#columns, line);
        return this.#columns.map((column) => row[column] ?? null);
      });
      return { columns: this.#columns, rows, reset: first || reset, every: Math.max(1, every) };
    });
  }

  #isOther(handle: number, size: number): boolean {
    if (this.#at === 0) return false;
    if (size < this.#at) return true;
    return !bytesAt(handle, this.#at - this.#mark.length, this.#mark.length).equals(this.#mark);
  }

  /** Whole lines from where the last look ended. */
  #lines(handle: number, size: number): string[] {
    const lines: string[] = [];
    while (this.#at < size) {
      const piece = bytesAt(handle, this.#at, Math.min(PIECE_BYTES, size - this.#at));
      const end = piece.lastIndexOf(0x0a) + 1;
      // a line that is being written; one of more than a piece is none of ours
      if (end === 0) break;
      lines.push(...piece.toString("utf8", 0, end - 1).split("\n"));
      this.#at += end;
      const tail = piece.subarray(Math.max(0, end - MARK_BYTES), end);
      this.#mark = Buffer.from(tail);
    }
    return lines;
  }
}
