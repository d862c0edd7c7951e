/**
 * Asks templates, and looks whether what one answered can be what it took: each argument of a phase stands for an operand of its dtype and size, only what
 * the subject writes is written, and all of that is. What a phase does inside is not looked at: it may still leave out elements of an
 * output, or read elements of the scratch that nobody wrote.
 */
import { checkOptions, fields, leaf, LARGEST_SIZE, listOf, optional, whole } from "../check/rules.ts";
import { bytesOf, type DType } from "../dtype.ts";
import { LowrankError } from "../errors.ts";
import type { Arg, Kernel } from "./kernel.ts";
import type { Target } from "./target.ts";
import { partOf, type CompositeCall, type OperandPart, type Phase, type Phases, type Template } from "./template.ts";

const KERNELS: ReadonlySet<unknown> = new Set<Kernel["kind"]>(["loop", "gemm", "scatter", "native"]);

const RULES = fields<Phases>({
  phases: listOf(
    fields<Phase>({
      kernel: leaf("a kernel", (v) => {
        const { kind, args } = (v ?? {}) as Partial<Kernel>;
        return KERNELS.has(kind) && Array.isArray(args);
      }),
      args: listOf(
        leaf("an operand or a part of one", (v) => {
          const { operand, from } = (typeof v === "number" ? partOf(v) : (v ?? {})) as Partial<OperandPart>;
          return [operand, from].every((n) => Number.isSafeInteger(n) && n! >= 0);
        }),
      ),
    }),
    { min: 1 },
  ),
  // as many bytes as the largest tensor takes
  scratch: optional(listOf(whole(0, 4 * LARGEST_SIZE))),
});

/** What phases number as their arguments. */
interface Operand {
  readonly name: string;
  /** Scratch has none. */
  readonly dtype?: DType;
  readonly bytes: number;
  readonly read: boolean;
  readonly write: boolean;
  /** Bytes that the phases so far may have written. */
  written: number;
}

/** The first answer. @throws ConfigError where it cannot be right */
export function answerOf(
  templates: readonly Template[],
  subject: CompositeCall | Kernel,
  target: Target,
): { readonly template: Template; readonly phases: Phases } | undefined {
  for (const template of templates) {
    if (template.requires?.some((feature) => !target.features.has(feature)) === true) continue;
    const answer = template.match(subject, target);
    if (answer !== undefined) return { template, phases: checkPhases(template.name, subject, answer, target) };
  }
  return undefined;
}

/** @throws ConfigError naming the template, the phase and what is wrong with it */
function checkPhases(template: string, subject: CompositeCall | Kernel, answer: unknown, target: Target): Phases {
  const source = `template "${template}" on ${subject.kind === "composite" ? subject.name : `kernel "${subject.label}"`}`;
  const phases = checkOptions<Phases>(source, RULES, answer);
  const operands = [...operandsOf(subject), ...(phases.scratch ?? []).map(scratch)];
  phases.phases.forEach((phase, i) => {
    const wrong = wrongWith(phase, operands, target.partAlignment);
    if (wrong !== undefined)
      throw new LowrankError("ConfigError", `${source}: phase ${i} (${phase.kernel.label}): ${wrong}`);
  });
  const left = operands.find(({ dtype, write, written, bytes }) => dtype !== undefined && write && written < bytes);
  if (left !== undefined)
    throw new LowrankError(
      "ConfigError",
      `${source}: ${left.written === 0 ? "no phase writes" : `phases write ${left.written} of ${left.bytes} bytes of`} ${left.name}`,
    );
  return phases;
}

/** What the first wrong argument is; notes what the phase writes. */
function wrongWith(
  { kernel, args: given }: Phase,
  operands: readonly Operand[],
  alignment: number,
): string | undefined {
  const parts = given.map(partOf);
  const args = parts.map(({ operand }) => operand);
  if (args.length !== kernel.args.length)
    return `"args" has ${args.length} operands for a kernel with ${kernel.args.length} arguments`;
  for (const [i, at] of args.entries()) {
    const operand = operands[at];
    if (operand === undefined)
      return `argument ${i} is operand ${at}, and there are ${operands.length}, counted from 0`;
    if (args.indexOf(at) < i) return `arguments ${args.indexOf(at)} and ${i} are both ${operand.name}`;
    const from = parts[i]!.from * bytesOf(kernel.args[i]!.dtype);
    if (from % alignment !== 0)
      return `argument ${i} begins at byte ${from} of ${operand.name}, and parts begin at multiples of ${alignment} here`;
    const wrong = misfit(kernel.args[i]!, from, operand);
    if (wrong !== undefined) return `argument ${i} ${wrong}`;
  }
  for (const [i, at] of args.entries()) {
    const { access, size, dtype } = kernel.args[i]!;
    const end = (parts[i]!.from + size) * bytesOf(dtype);
    if (access !== "read") operands[at]!.written = Math.max(operands[at]!.written, end);
  }
  return undefined;
}

function misfit(
  { dtype, size, access }: Arg,
  from: number,
  { name, read, write, written, ...operand }: Operand,
): string | undefined {
  const bytes = from + size * bytesOf(dtype);
  if (operand.dtype !== undefined && dtype !== operand.dtype) return `is ${dtype}, and ${name} is ${operand.dtype}`;
  if (bytes > operand.bytes) return `takes ${bytes} bytes of ${name}, which has ${operand.bytes}`;
  if (access !== "read" && !write) return `writes ${name}, which is only to be read`;
  if (access === "read" && !read && written === 0) return `reads ${name}, which no phase before it writes`;
  return undefined;
}

function operandsOf(subject: CompositeCall | Kernel): Operand[] {
  if (subject.kind !== "composite")
    return subject.args.map(({ dtype, size, access }, i) => ({
      name: `operand ${i}`,
      dtype,
      bytes: size * bytesOf(dtype),
      read: access !== "write",
      write: access !== "read",
      written: 0,
    }));
  return (["input", "output"] as const).flatMap((role) =>
    subject[`${role}s`].map(({ dtype, shape }, i) => ({
      name: `${role} ${i}`,
      dtype,
      bytes: shape.reduce((a, b) => a * b, bytesOf(dtype)),
      read: role === "input",
      write: role === "output",
      written: 0,
    })),
  );
}

function scratch(bytes: number, i: number): Operand {
  return { name: `scratch ${i}`, bytes, read: false, write: true, written: 0 };
}
