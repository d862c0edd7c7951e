/** A composite that a template took, as a draft whose kernels are the template's phases. */
import { bytesOf } from "../dtype.ts";
import { partOf, type Phases } from "../ir/template.ts";
import { labelOf, type FinishedKernel, type KernelDraft, type Scratch } from "./lower.ts";
import type { CompositeLowering, ScheduleNode } from "./graph.ts";

/** @param wanted its outputs that are, the first of which stands for all */
export function lowerComposite(wanted: readonly ScheduleNode[]): KernelDraft {
  const root = wanted[0]!;
  const { taken } = root.lowering as CompositeLowering;
  const { composite, phases, by } = taken;
  const outputs = composite.outputs.map(
    (node, i): ScheduleNode | Scratch =>
      wanted.find((w) => (w.lowering as CompositeLowering).output === i) ?? {
        bytes: bytesOf(node.dtype) * node.shape.reduce((a, b) => a * b, 1),
      },
  );
  const label = labelOf(root);
  return {
    root,
    kind: "composite",
    label,
    writes: wanted,
    reads: new Set(root.inputs),
    readsOnlyAt: () => false,
    refused: new Set(),
    tooTall: false,
    waits: new Set(),
    coversAll: true,
    finish: () => finishPhases(phases, [...root.inputs, ...outputs], `${label} by ${by}`),
  };
}

/**
 * @param phases checked (`answerOf`)
 * @param operands what they number as their arguments, without the scratch
 * @param origins byte at which each of them begins. Default 0
 */
export function finishPhases(
  { phases, scratch = [] }: Phases,
  operands: readonly (ScheduleNode | Scratch)[],
  label: string,
  origins: readonly number[] = [],
): FinishedKernel[] {
  const places = [...operands, ...scratch.map((bytes): Scratch => ({ bytes }))];
  return phases.map(({ kernel, args }) => {
    const parts = args.map(partOf);
    return {
      kernel,
      args: parts.map(({ operand }) => places[operand]!),
      from: parts.map(({ operand, from }, i) => (origins[operand] ?? 0) + from * bytesOf(kernel.args[i]!.dtype)),
      label: `${label}: ${kernel.label}`,
    };
  });
}

export function bytesFor(place: ScheduleNode | Scratch): number {
  return "bytes" in place ? place.bytes : place.size * bytesOf(place.dtype);
}
