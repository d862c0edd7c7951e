/**
 * Regular expressions that come from files or users, in the syntax of Python's `re`. JavaScript's own engine walks back and can take
 * exponential time; here all ways are followed at once (Thompson 1968, as Pike's machine: Cox 2009, "Regular Expression Matching: the
 * Virtual Machine Approach"), so that a match takes at most text × pattern steps.
 */
import { LowrankError, quote } from "../errors.ts";
import { parsePattern, type Node, type Place, type SyntaxOptions, type Test } from "./pattern-syntax.ts";

/** Takes a code point (`test`), holds at a place (`holds`), goes two ways (`or`), or ends (`to` is -1). */
interface Instruction {
  readonly test?: Test;
  readonly holds?: Place;
  to: number;
  or: number;
}

/** Longest machine. Files name a few hundred modules in one pattern; with more a match of every path would take seconds. */
const LARGEST = 16384;

export interface Found {
  readonly start: number;
  readonly end: number;
}

export class Pattern {
  readonly source: string;
  readonly #program: readonly Instruction[];
  readonly #seen: Uint32Array;
  #round = 0;

  constructor(source: string, program: readonly Instruction[]) {
    this.source = source;
    this.#program = program;
    this.#seen = new Uint32Array(program.length);
  }

  /** Whether the whole text matches: `re.fullmatch`. */
  fullMatch(text: string): boolean {
    return this.#run(text, 0, true) !== undefined;
  }

  /** The first match at or after `from`, of those that begin there the one that a backtracking engine finds first: `re.search`. */
  find(text: string, from = 0): Found | undefined {
    return this.#run(text, from, false);
  }

  #run(text: string, from: number, whole: boolean): Found | undefined {
    let best: Found | undefined;
    let arriving: number[] = [];
    let before = from === 0 ? -1 : text.codePointAt(from - (isLow(text, from - 1) ? 2 : 1))!;
    for (let at = from; ;) {
      const code = at < text.length ? text.codePointAt(at)! : -1;
      const next = at + (code > 0xffff ? 2 : 1);
      if (best === undefined && (!whole || at === from)) arriving.push(0, at);
      if (arriving.length === 0) return best;
      const here = this.#spread(arriving, before, code, next >= text.length);
      arriving = [];
      for (let i = 0; i < here.length; i += 2) {
        const [{ test, to }, start] = [this.#program[here[i]!]!, here[i + 1]!] as const;
        if (to < 0) {
          if (whole && code >= 0) continue;
          best = { start, end: at };
          // what comes later in the list is a worse way
          break;
        }
        if (code >= 0 && test!(code)) arriving.push(to, start);
      }
      if (code < 0) return best;
      before = code;
      at = next;
    }
  }

  /** Instructions that wait for a code point, each once, best way first, as pairs of instruction and start. */
  #spread(arriving: readonly number[], before: number, after: number, last: boolean): number[] {
    const out: number[] = [];
    const open: number[] = [];
    this.#round++;
    for (let i = 0; i < arriving.length; i += 2) {
      open.push(arriving[i]!);
      while (open.length > 0) {
        const at = open.pop()!;
        if (this.#seen[at] === this.#round) continue;
        this.#seen[at] = this.#round;
        const { test, holds, to, or } = this.#program[at]!;
        if (test !== undefined || to < 0) out.push(at, arriving[i + 1]!);
        else if (holds?.(before, after, last) !== false) {
          if (or >= 0) open.push(or);
          open.push(to);
        }
      }
    }
    return out;
  }
}

function isLow(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff && at > 0;
}

class Compiler {
  readonly program: Instruction[] = [];
  readonly #refuse: () => never;
  #spent = 0;

  constructor(refuse: () => never) {
    this.#refuse = refuse;
  }

  #push(instruction: Partial<Instruction>): Instruction {
    const made = { to: this.program.length + 1, or: -1, ...instruction };
    this.program.push(made);
    return made;
  }

  emit(node: Node): void {
    // repetitions of nothing make no instructions, but take time all the same
    if (++this.#spent > LARGEST || this.program.length > LARGEST) this.#refuse();
    switch (node.kind) {
      case "one":
        this.#push({ test: node.test });
        break;
      case "place":
        this.#push({ holds: node.holds });
        break;
      case "all":
        for (const part of node.parts) this.emit(part);
        break;
      case "either":
        this.#either(node.ways);
        break;
      case "many":
        this.#many(node);
    }
  }

  #either(ways: readonly Node[]): void {
    const done: Instruction[] = [];
    for (const [i, way] of ways.entries()) {
      const fork = i < ways.length - 1 ? this.#push({}) : undefined;
      this.emit(way);
      if (fork === undefined) continue;
      done.push(this.#push({}));
      fork.or = this.program.length;
    }
    for (const jump of done) jump.to = this.program.length;
  }

  #many({ part, min, max, lazy }: Extract<Node, { kind: "many" }>): void {
    const skips: Instruction[] = [];
    for (let i = 0; i < min; i++) this.emit(part);
    const start = this.program.length;
    for (let i = min; i < (max === Infinity ? min + 1 : max); i++) {
      skips.push(this.#push({}));
      this.emit(part);
    }
    if (max === Infinity) this.#push({ to: start });
    for (const skip of skips) {
      const [into, past] = [skip.to, this.program.length];
      [skip.to, skip.or] = lazy ? [past, into] : [into, past];
    }
  }
}

/**
 * @param where what the pattern belongs to, for messages: a file and key, or an option
 * @throws LowrankError (PatternError) on what Python refuses, on what takes more than linear time, and on what would be too large
 */
export function pattern(source: string, where: string, options: SyntaxOptions = {}): Pattern {
  const compiler = new Compiler(() => {
    throw new LowrankError(
      "PatternError",
      `${where}: the regular expression ${quote(source)} comes to more than ${LARGEST} steps with its repetitions written out; say less`,
    );
  });
  compiler.emit(parsePattern(source, where, options));
  compiler.program.push({ to: -1, or: -1 });
  return new Pattern(source, compiler.program);
}
