/**
 * Attention in tiles: a block of queries against a block of keys at a time, forward and backward, so that queries × keys numbers never exist and what
 * a mask hides as a whole is not computed (Dao et al. 2022, "FlashAttention"; Rabe & Staats 2021). Phases are kernels of the IR, so the
 * composites bring the template with them, to every device.
 *
 *   forward, for each tile       scores   s = q·kᵀ·scale, −∞ where hidden
 *                                softmax  e = e^(s − peak) under the peak so far, its sum
 *                                mix      out = out·shrink + e·v
 *   afterwards                   divide   out / sum; peak and 1 / sum are kept for the backward pass
 *
 *   backward                     along    Σ g ⊙ out of each row
 *     for each tile              weights  w = e^(s − peak) / sum
 *                                keys'    dv += wᵀ·g
 *                                scores'  ds = w ⊙ (g·vᵀ − along)·scale, in place of w
 *                                queries' dq += ds·k
 *                                keys'    dk += dsᵀ·q
 */
import type { Kernel } from "../../ir/kernel.ts";
import type { CompositeCall, OperandPart, Phase, Phases, Template } from "../../ir/template.ts";
import { blocksOf, formOf, type Block, type Form, type Sight, type Tile } from "./form.ts";
import * as forward from "./forward-kernels.ts";
import * as gradient from "./gradient-kernels.ts";

export const attentionTiles: Template = {
  name: "tiles",
  match(subject, { partAlignment }) {
    if (subject.kind !== "composite") return undefined;
    const isGradient = subject.name === "attentionTilesGradient";
    if (!isGradient && subject.name !== "attentionTiles") return undefined;
    // parts begin at tokens, and these at multiples of a tensor's width
    if (subject.inputs.some(({ dtype }) => dtype === "f16" || dtype === "bf16" || dtype === "f64")) return undefined;
    const work = new Work(subject, isGradient ? GRADIENT_INPUTS : INPUTS);
    (isGradient ? listGradient : listForward)(work);
    const phases = work.answer();
    return phases.phases.every((phase) => isAligned(phase, partAlignment)) ? phases : undefined;
  },
};

/** q, k, v; and for the gradient out's gradient, out, peak, inverse. */
const INPUTS = 3;
const GRADIENT_INPUTS = 7;

function isAligned({ args, kernel }: Phase, alignment: number): boolean {
  return args.every((arg, i) => typeof arg === "number" || (arg.from * SIZE[kernel.args[i]!.dtype]!) % alignment === 0);
}

const SIZE: Readonly<Record<string, number>> = { f32: 4, i32: 4, u32: 4 };

/** Phases of one composite as they are listed. */
class Work {
  readonly form: Form;
  readonly sight: Sight;
  readonly blocks: readonly Block[];
  /** Operand of the first output. */
  readonly output: number;
  readonly #operands: number;
  readonly #scratch: number[] = [];
  readonly #phases: Phase[] = [];
  readonly #made = new Map<string, Kernel>();
  readonly #counted = new Map<string, number>();

  constructor(call: CompositeCall, tensors: number) {
    ({ form: this.form, sight: this.sight } = formOf(call, tensors));
    this.blocks = blocksOf(this.form);
    this.output = call.inputs.length;
    this.#operands = this.output + call.outputs.length;
  }

  answer(): Phases {
    return { phases: this.#phases, scratch: this.#scratch };
  }

  /** Scratch of so many numbers of four bytes. */
  room(numbers: number): number {
    return this.#operands + this.#scratch.push(4 * numbers) - 1;
  }

  /** @param name tells kernels of this composite apart that are made for the same tile */
  run(name: string, tile: Tile | undefined, make: () => Kernel, args: readonly (number | OperandPart)[]): void {
    const key = tile === undefined ? name : `${name} ${tile.rows} ${tile.columns} ${tile.masked}`;
    const kernel = this.#made.get(key) ?? make();
    this.#made.set(key, kernel);
    this.#phases.push({ kernel, args });
  }

  fill(operand: number, size: number, value: number): void {
    this.#phases.push({ kernel: forward.fill(size, value), args: [operand] });
  }

  /** Scratch that holds from, from + 1, …; one for each role, since a kernel may have several. */
  counting(role: string, size: number, from: number): number {
    const known = this.#counted.get(role);
    if (known !== undefined) return known;
    const operand = this.room(size);
    this.#counted.set(role, operand);
    this.#phases.push({ kernel: forward.count(size, from), args: [operand] });
    return operand;
  }
}

/** Operands of what a query may see, in the order of the kernels' arguments. */
function sightOf(work: Work): (tile: Tile) => readonly OperandPart[] {
  const { form, sight } = work;
  const { causal, first, place, keys, queries } = form;
  if (!causal && !first && !place) return () => [];
  const places = place ? sight.place : work.counting("keys", keys, 0);
  const own = causal ? work.counting("own", queries, keys - queries) : undefined;
  return (tile) =>
    tile.masked
      ? [
          { operand: places, from: tile.first },
          ...(first ? [{ operand: sight.first, from: tile.from }] : []),
          ...(own === undefined ? [] : [{ operand: own, from: tile.from }]),
        ]
      : [];
}

/** Operands of dropout: its words, places of keys and of queries. */
function drawsOf(work: Work): (tile: Tile) => readonly (number | OperandPart)[] {
  const { form, sight } = work;
  if (form.p === 0) return () => [];
  const places = form.place ? sight.place : work.counting("keys", form.keys, 0);
  const rows = work.counting("queries", form.queries, 0);
  return (tile) => [sight.words, { operand: places, from: tile.first }, { operand: rows, from: tile.from }];
}

/** Room for one tile, whichever: the largest comes first. */
function tileRoom({ form, blocks }: Work): number {
  const area = Math.max(1, ...blocks.flatMap(({ tiles }) => tiles.map((t) => t.rows * t.columns)));
  return form.batch * form.heads * form.group * area;
}

/** Operands of a tile's rows and columns in tensors of so many numbers a token. */
const ofRows = (operand: number, { from }: { readonly from: number }, width: number): OperandPart => ({
  operand,
  from: from * width,
});
const ofColumns = (operand: number, { first }: Tile, width: number): OperandPart => ({ operand, from: first * width });

function listForward(work: Work): void {
  const { form, blocks, output: out } = work;
  const { width, valueWidth } = form;
  const [q, k, v] = [0, 1, 2];
  const [peak, inverse] = [out + 1, out + 2];
  const rows = form.batch * form.heads * form.group * form.queries;
  const [seen, drawn] = [sightOf(work), drawsOf(work)];
  const [tileAt, sum, shrink] = [work.room(tileRoom(work)), work.room(rows), work.room(rows)];
  work.fill(out, rows * valueWidth, 0);
  work.fill(peak, rows, forward.LOWEST);
  work.fill(sum, rows, 0);
  for (const tile of blocks.flatMap(({ tiles }) => tiles)) {
    work.run("scores", tile, () => forward.scores(form, tile), [
      ofRows(q, tile, width),
      ofColumns(k, tile, width),
      tileAt,
      ...seen(tile),
    ]);
    work.run("softmax", tile, () => forward.rowOfTile(form, tile), [
      tileAt,
      ofRows(peak, tile, 1),
      ofRows(sum, tile, 1),
      shrink,
      ...drawn(tile),
    ]);
    work.run("mix", tile, () => forward.mix(form, tile), [
      tileAt,
      ofColumns(v, tile, valueWidth),
      shrink,
      ofRows(out, tile, valueWidth),
    ]);
  }
  work.run("divide", undefined, () => forward.divide(form), [out, sum, inverse]);
}

function listGradient(work: Work): void {
  const { form, blocks, output: dq } = work;
  const { batch, heads, group, queries, keys, width, valueWidth, p } = form;
  const [q, k, v, g, out, peak, inverse] = [0, 1, 2, 3, 4, 5, 6];
  const [dk, dv] = [dq + 1, dq + 2];
  const rows = batch * heads * group * queries;
  const [seen, drawn] = [sightOf(work), drawsOf(work)];
  const [tileAt, along] = [work.room(tileRoom(work)), work.room(rows)];
  const left = p > 0 ? work.room(tileRoom(work)) : tileAt;
  work.fill(dq, rows * width, 0);
  work.fill(dk, batch * heads * keys * width, 0);
  work.fill(dv, batch * heads * keys * valueWidth, 0);
  work.run("along", undefined, () => gradient.along(form), [g, out, along]);
  for (const tile of blocks.flatMap(({ tiles }) => tiles)) {
    work.run("weights", tile, () => gradient.weights(form, tile), [
      ofRows(q, tile, width),
      ofColumns(k, tile, width),
      ofRows(peak, tile, 1),
      ofRows(inverse, tile, 1),
      tileAt,
      ...seen(tile),
    ]);
    if (p > 0) work.run("dropout", tile, () => gradient.dropTile(form, tile), [tileAt, left, ...drawn(tile)]);
    work.run("values'", tile, () => gradient.keyGradient(form, tile, valueWidth), [
      left,
      ofRows(g, tile, valueWidth),
      ofColumns(dv, tile, valueWidth),
    ]);
    work.run("scores'", tile, () => gradient.scoreGradient(form, tile), [
      ofRows(g, tile, valueWidth),
      ofColumns(v, tile, valueWidth),
      ofRows(along, tile, 1),
      tileAt,
      ...(p > 0 ? [left] : []),
    ]);
    work.run("queries'", tile, () => gradient.queryGradient(form, tile), [
      tileAt,
      ofColumns(k, tile, width),
      ofRows(dq, tile, width),
    ]);
    work.run("keys'", tile, () => gradient.keyGradient(form, tile, width), [
      tileAt,
      ofRows(q, tile, width),
      ofColumns(dk, tile, width),
    ]);
  }
}
