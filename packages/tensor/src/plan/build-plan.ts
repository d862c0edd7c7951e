/**
 * From a schedule to a plan: buffers get addresses, equal kernels are kept once.
 *
 *   schedule, all [8, 8]             plan
 *   H  h = x·w                       kernels  [product 8 × 8 × 8]          H and Y differ in nothing but their labels
 *   Y  y = h·v, the output           steps    0 (bound 0, bound 1, arena + 0)
 *                                             0 (arena + 0, bound 2, bound 3)
 *                                    bound    x, w, v: parameters, in order; then y
 *                                    arena    256 bytes: h, alive from step 0 to step 1
 */
import { bytesOf } from "../dtype.ts";
import { invariant } from "../errors.ts";
import type { Cell } from "../graph/cell.ts";
import type { Program } from "../graph/program.ts";
import type { Kernel } from "../ir/kernel.ts";
import { answerOf } from "../ir/answer.ts";
import { keyOf } from "../key.ts";
import type { ScheduleNode } from "../schedule/graph.ts";
import { placeParts } from "../schedule/lower-assemble.ts";
import { bytesFor, finishPhases } from "../schedule/lower-composite.ts";
import type { FinishedKernel } from "../schedule/lower.ts";
import { schedule, type ScheduleOptions } from "../schedule/schedule.ts";
import { sizeOf } from "../shape.ts";
import { placeBuffers, type Lifetime } from "./arena.ts";
import type { BufferRef, Plan, Step, Upload } from "./plan.ts";

/** Bound slots are the program's cells, in order, then its constants, then its outputs. */
export function buildPlan(program: Program, options: ScheduleOptions): Plan {
  const { kernels: drafts, homes, leaves } = schedule(program, options);
  const slotOfCell = new Map(program.cells.map((cell, i) => [cell, i]));
  const slotOfConstant = new Map(program.constants.map((constant, i) => [constant, program.cells.length + i]));
  const firstOutput = program.cells.length + program.constants.length;

  /** What two nodes must share to be one buffer. */
  const homeOf = (node: ScheduleNode): unknown => {
    if (node.leaf?.kind === "cell") return slotOfCell.get(node.leaf.cell)!;
    if (node.leaf?.kind === "constant") return slotOfConstant.get(node.leaf.constant)!;
    const home = homes.get(node);
    return home === undefined ? node : typeof home === "number" ? firstOutput + home : slotOfCell.get(home)!;
  };
  const slotOf = (place: Place): number | undefined => {
    const home = "id" in place ? homeOf(place) : undefined;
    return typeof home === "number" ? home : undefined;
  };
  const parts = placeParts(drafts, options.target.arenaAlignment);
  const finished = drafts.flatMap((draft) => draft.finish(homeOf)).flatMap((made) => replaced(made, options));

  // lifetimes of what lives in the arena; uploads are there from the start
  const lifetimes = new Map<Place, { first: number; last: number; parts?: NonNullable<Lifetime["parts"]>[number][] }>();
  const uploadNodes = program.hostLeaves.map((origin) => leaves.find((l) => l.origin === origin));
  uploadNodes.forEach((node) => {
    if (node !== undefined) lifetimes.set(node, { first: -1, last: -1 });
  });
  finished.forEach(({ args }, step) => {
    for (const arg of args) {
      if (slotOf(arg) !== undefined) continue;
      const part = parts.get(arg);
      const node = part?.whole ?? arg;
      const life = lifetimes.get(node) ?? { first: step, last: step };
      lifetimes.set(node, life);
      life.last = step;
      if (part === undefined) continue;
      life.parts ??= [];
      // a part is written before anything else is done with it
      if (!life.parts.some(({ offset }) => offset === part.offset))
        life.parts.push({ offset: part.offset, bytes: bytesFor(arg), first: step });
    }
  });
  const arenaNodes = [...lifetimes.keys()];
  const layout = placeBuffers(
    arenaNodes.map((n): Lifetime => ({ bytes: bytesFor(n), ...lifetimes.get(n)! })),
    options.target.arenaAlignment,
  );
  const offsetOf = new Map(arenaNodes.map((n, i) => [n, layout.offsets[i]!]));
  const refOf = (node: Place, from: number = 0): BufferRef => {
    const home = slotOf(node);
    const bytes = bytesFor(node) - from;
    if (home !== undefined) return { kind: "bound", slot: home, offset: from, bytes };
    const part = parts.get(node);
    const offset = offsetOf.get(part?.whole ?? node);
    invariant(offset !== undefined, "a buffer has no place in the arena");
    return { kind: "arena", offset: offset + (part?.offset ?? 0) + from, bytes };
  };

  const kernels: Kernel[] = [];
  const kernelIds = new Map<string, number>();
  // phases that go through a tensor piece by piece are one kernel again and again: its key is spelt once
  const idOf = remembered((kernel: Kernel): number => {
    const key = kernelKey(kernel);
    const id = kernelIds.get(key) ?? kernels.push(kernel) - 1;
    kernelIds.set(key, id);
    return id;
  });
  const steps = finished.map(({ kernel, args, from, label }): Step => ({
    kernel: idOf(kernel),
    args: args.map((place, i) => refOf(place, from?.[i])),
    label,
  }));

  const uploads = program.hostLeaves.map((origin, i): Upload => {
    const node = uploadNodes[i];
    const ref: BufferRef = node === undefined ? { kind: "arena", offset: 0, bytes: 0 } : refOf(node);
    return { ref, dtype: origin.dtype, size: node === undefined ? 0 : sizeOf(origin.shape) };
  });
  const written = new Set<Cell>(program.assignments.map((a) => a.cell));
  const bound: Plan["bound"] = [
    ...program.cells.map((cell) => ({
      bytes: sizeOf(cell.shape) * bytesOf(cell.dtype),
      access: written.has(cell) ? ("readwrite" as const) : ("read" as const),
    })),
    ...program.constants.map(({ data }) => ({ bytes: data.byteLength, access: "read" as const })),
    ...program.outputs.map((node) => ({ bytes: sizeOf(node.shape) * bytesOf(node.dtype), access: "write" as const })),
  ];
  return { kernels, steps, arenaBytes: layout.bytes, uploads, bound };
}

/** What a kernel's argument is before it has an address. */
type Place = FinishedKernel["args"][number];

/** `f`, asked once about each object. */
function remembered<K extends object, V>(f: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>();
  return (key) => {
    if (!known.has(key)) known.set(key, f(key));
    return known.get(key)!;
  };
}

/** The kernel, or the phases of a template that takes it. */
function replaced(made: FinishedKernel, { templates, target, fusion }: ScheduleOptions): readonly FinishedKernel[] {
  if (templates.length === 0 || !fusion || made.kernel.kind === "native") return [made];
  const answer = answerOf(templates, made.kernel, target);
  return answer === undefined
    ? [made]
    : finishPhases(answer.phases, made.args, `${made.label} by ${answer.template.name}`, made.from);
}

const keys = new WeakMap<Kernel, string>();

/** Equal keys mean equal code. Labels do not count. */
export function kernelKey(kernel: Kernel): string {
  const known = keys.get(kernel);
  if (known !== undefined) return known;
  const { label: _, ...code } = kernel;
  const key = code.kind === "native" ? `native ${code.key} ${keyOf(code.args)}` : keyOf(code);
  keys.set(kernel, key);
  return key;
}
