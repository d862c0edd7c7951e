/**
 * What a reader may do with an input: take it, if it makes sense by a rule written down beside the format and independent of the reader, or
 * refuse it with one typed line that a person can act on, quickly and in little memory. Everything else is a finding.
 */
import { LowrankError, RandomStream } from "@lowrank/tensor";

export interface FuzzFormat {
  readonly name: string;
  /** An input that is a function of the stream. */
  draw(random: RandomStream): Uint8Array;
  /** Reads it as the packages do. */
  read(bytes: Uint8Array): unknown;
  /** Why what was taken should not have been; undefined where it makes sense. */
  senseless(bytes: Uint8Array, value: never): string | undefined;
}

export interface Finding {
  readonly format: string;
  /** `seed` and `index` draw the input again. */
  readonly index: number;
  readonly what: string;
  readonly input: string;
}

export interface FormatTally {
  readonly format: string;
  inputs: number;
  taken: number;
  refused: number;
  slowest: number;
  bytes: number;
}

export interface FuzzReport {
  readonly seed: number;
  readonly tallies: FormatTally[];
  readonly findings: Finding[];
}

/** Of computing, so that a busy machine accuses nobody; and of waiting for something that never comes. */
const LONGEST_MS = 2000;
const LONGEST_WAIT_MS = 20_000;
const MOST_BYTES = 256 * 2 ** 20;
const LONGEST_LINE = 1000;
const SHOWN = 400;

/** The same input for the same seed, format and index. */
export function inputOf(format: FuzzFormat, seed: number, index: number): Uint8Array {
  return format.draw(new RandomStream(seed, `fuzz/${format.name}/${index}`));
}

/** Peak resident bytes of the process so far. */
const peak = (): number => 1024 * process.resourceUsage().maxRSS;

/** Reads one input; a finding, or whether it was taken. */
async function judge(
  format: FuzzFormat,
  bytes: Uint8Array,
): Promise<{ taken: boolean; problem: string | undefined; milliseconds: number; grown: number }> {
  const [before, started, cpu] = [peak(), performance.now(), process.cpuUsage()];
  let [taken, problem]: [boolean, string | undefined] = [false, undefined];
  try {
    const value = (await format.read(bytes)) as never;
    taken = true;
    problem = format.senseless(bytes, value);
    if (problem !== undefined) problem = `taken although ${problem}`;
  } catch (error) {
    problem = refusalProblem(error);
  }
  const { user, system } = process.cpuUsage(cpu);
  const milliseconds = (user + system) / 1000;
  const waited = performance.now() - started;
  const grown = peak() - before;
  if (milliseconds > LONGEST_MS || waited > LONGEST_WAIT_MS)
    problem = `${Math.round(milliseconds)} ms of computing, ${Math.round(waited)} ms in all`;
  if (grown > MOST_BYTES) problem = `${Math.round(grown / 2 ** 20)} MB`;
  return { taken, problem, milliseconds, grown };
}

/** What is wrong with the way an input was refused. */
export function refusalProblem(error: unknown): string | undefined {
  if (!(error instanceof LowrankError))
    return `untyped: ${error instanceof Error ? `${error.name}: ${error.message} ${error.stack?.split("\n")[1]?.trim() ?? ""}` : String(error)}`;
  if (error.kind === "bug" || error.kind === "state")
    return `refused as if it were ${error.kind === "bug" ? "a bug of ours" : "a matter of state"}: ${error.code}: ${error.message}`;
  if (/[\p{Cc}\u2028\u2029]/u.test(error.message))
    return `control characters in the message: ${JSON.stringify(error.message)}`;
  if (error.message.length > LONGEST_LINE)
    return `a message of ${error.message.length} characters: ${error.message.slice(0, SHOWN)}`;
  return error.message === "" ? "an empty message" : undefined;
}

/** `count` inputs, shared out over the formats in turn. */
export async function fuzz(
  formats: readonly FuzzFormat[],
  options: {
    readonly seed: number;
    readonly count: number;
    readonly first?: number;
    readonly progress?: (done: number) => void;
    readonly until?: number;
  },
): Promise<FuzzReport> {
  const { seed, count, first = 0, progress, until = Infinity } = options;
  const tallies = formats.map(({ name }): FormatTally => ({
    format: name,
    inputs: 0,
    taken: 0,
    refused: 0,
    slowest: 0,
    bytes: 0,
  }));
  const findings: Finding[] = [];
  for (let n = 0; n < count && performance.now() < until; n++) {
    const which = n % formats.length;
    const [format, tally] = [formats[which]!, tallies[which]!];
    const index = first + Math.floor(n / formats.length);
    const bytes = inputOf(format, seed, index);
    const { taken, problem, milliseconds, grown } = await judge(format, bytes);
    tally.inputs++;
    if (taken) tally.taken++;
    else tally.refused++;
    tally.slowest = Math.max(tally.slowest, milliseconds);
    tally.bytes = Math.max(tally.bytes, grown);
    if (problem !== undefined)
      findings.push({
        format: format.name,
        index,
        what: problem,
        input: new TextDecoder().decode(bytes.subarray(0, SHOWN)),
      });
    progress?.(n + 1);
  }
  return { seed, tallies, findings };
}
