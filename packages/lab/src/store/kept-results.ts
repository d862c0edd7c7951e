/** Runs that are done because a line says so (`result-lines.ts`), where their folders may be gone: what a store takes beside its own. */
import { finishedOf, runOf, type DivergedLine, type ResultLine } from "./result-line.ts";
import type { FinishedRun } from "./measures.ts";
import { addLines, linesStamp, readResultLines, type KeptLine } from "./result-lines.ts";

export interface KeptOptions {
  /** Content of the code that computes here: lines by other code are of other runs. */
  readonly code: string;
  /** Whether lines by other code count, too. */
  readonly reuse?: boolean;
}

/** Lines by other code than this one. */
export interface OtherCode {
  readonly code: string;
  readonly commit: string | null;
  readonly lines: number;
}

export class KeptResults {
  readonly folder: string;
  readonly #options: KeptOptions;
  #stamp = "";
  #lines: readonly KeptLine[] = [];
  #byName = new Map<string, KeptLine>();
  #ids = new Set<string>();
  readonly #read = new Map<string, FinishedRun>();

  /** @throws InputError naming file and number of a line that is damaged */
  constructor(folder: string, options: KeptOptions) {
    this.folder = folder;
    this.#options = options;
    this.refresh();
  }

  /** Reads the lines again, where others may have added some. */
  refresh(): void {
    const stamp = linesStamp(this.folder);
    if (stamp === this.#stamp) return;
    this.#lines = readResultLines(this.folder);
    this.#stamp = stamp;
    const { code, reuse = false } = this.#options;
    const taken = this.#lines.filter(({ line }) => reuse || line.code === code);
    this.#byName = new Map(taken.map((kept) => [runOf(kept.line).name, kept]));
    this.#ids = new Set(this.#lines.map(({ line }) => runOf(line).id));
  }

  names(): string[] {
    return [...this.#byName.keys()];
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  finished(name: string): FinishedRun | undefined {
    const line = this.#byName.get(name)?.line;
    if (line?.outcome !== "finished") return undefined;
    const known = this.#read.get(name) ?? finishedOf(line);
    this.#read.set(name, known);
    return known;
  }

  diverged(name: string): (DivergedLine & Pick<KeptLine, "where">) | undefined {
    const { line, where = "" } = this.#byName.get(name) ?? {};
    return line?.outcome === "diverged" ? { ...line, where } : undefined;
  }

  /** Adds what is not there yet; what is there by now counts. */
  async add(lines: readonly ResultLine[]): Promise<void> {
    await addLines(this.folder, lines);
    this.refresh();
  }

  /** By code, in the order in which they are met. */
  otherCode(): OtherCode[] {
    const others = new Map<string, OtherCode>();
    for (const { line } of this.#lines) {
      const { code, commit } = line;
      if (code === this.#options.code) continue;
      const before = others.get(code);
      others.set(code, { code, commit: before?.commit ?? commit, lines: (before?.lines ?? 0) + 1 });
    }
    return [...others.values()];
  }
}
