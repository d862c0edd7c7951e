/**
 * Turns graph nodes into kernel instructions at given coordinates. Views are composed into index arithmetic on the way; whatever
 * cannot be computed inside this kernel (a product, a reduction over other dimensions, a reshape that is not linear) is recorded
 * in `refused` and read from memory instead: the scheduler then gives it a kernel of its own.
 *
 *   relu(xᵀ) + b, x [4, 6], b [4], wanted at (i, j)
 *     relu(xᵀ) at (i, j) ─ xᵀ at (i, j) ─ x at (j, i)       v0 = load x[6·j + i], v1 = const 0, v2 = max v0 v1
 *     b at j                                                v3 = load b[j]
 *                                                           v4 = add v2 v3
 *   Were x a product, v0 would be the same load, and x would be in `refused`.
 */
import { invariant } from "../errors.ts";
import { valueTypeOf, type ValueId, type ValueType } from "../ir/kernel.ts";
import { castValue, rounded } from "./conversions.ts";
import { gathered, updated } from "./by-index.ts";
import { coordsByBits, dequantized, randomBits } from "./by-position.ts";
import { Repeats } from "./repeats.ts";
import { TALLEST } from "./tallest.ts";
import { coordsBehind, coordsInGroups, regroup } from "./view-coords.ts";
import {
  instrKey,
  SplitSignal,
  type BuilderOptions,
  type DraftGuard,
  type DraftInstr,
  type DraftStore,
} from "./draft.ts";
import type { ScheduleNode } from "./graph.ts";
import {
  delinearize,
  factorForm,
  linearize,
  rangeOf,
  sameForm,
  scaleForm,
  unitForm,
  type LinearForm,
} from "./linear-form.ts";

interface Pulled {
  readonly id: ValueId;
  /** How many nodes stand on one another in it. */
  readonly height: number;
}

export class KernelBuilder {
  readonly sizes: number[];
  readonly body: DraftInstr[] = [];
  readonly refused: Set<ScheduleNode> = new Set();
  readonly extraStores: DraftStore[] = [];
  /** Nodes that must have been computed before this kernel starts. */
  readonly waits: Set<ScheduleNode> = new Set();
  /** Dimensions that reductions run over; undefined until the first reduction. */
  inner: number[] | undefined;
  /** How many dimensions of the root came first; reductions may append more. */
  readonly rootDims: number;
  readonly #options: BuilderOptions;
  readonly #known = new Map<string, ValueId>();
  readonly #pulled = new Map<string, Pulled>();
  /** Whether something was refused because too much stood on it. */
  tooTall = false;
  /** Nodes that are being computed, each for the one before. */
  #depth = 0;
  readonly #repeats = new Repeats((n) => n.constant !== undefined || this.#isMemory(n));
  /** Height of the tallest value among those that the present node has asked for. */
  #below = 0;

  constructor(sizes: readonly number[], options: BuilderOptions) {
    this.sizes = [...sizes];
    this.rootDims = sizes.length;
    this.#options = options;
  }

  emit(instr: DraftInstr): ValueId {
    const key = instrKey(instr);
    const before = this.#known.get(key);
    if (before !== undefined) return before;
    this.body.push(instr);
    this.#known.set(key, this.body.length - 1);
    return this.body.length - 1;
  }

  constant(type: ValueType, value: number): ValueId {
    return this.emit({ op: "const", type, value });
  }

  /** The value of `node` at `coords`, valid wherever `guards` hold. */
  value(
    node: ScheduleNode,
    coords: readonly LinearForm[],
    guards: readonly DraftGuard[] = [],
    isRoot = false,
  ): ValueId {
    const key = `${node.id}|${isRoot}|${JSON.stringify(coords)}|${guards.length === 0 ? "" : JSON.stringify(guards)}`;
    const known = this.#pulled.get(key);
    const { id, height } = known ?? this.#pull(node, coords, guards, isRoot);
    if (known === undefined) {
      this.#pulled.set(key, { id, height });
      if (this.#options.absorbed.has(node) && !isRoot) this.#absorb(node, coords, guards, id);
    }
    this.#below = Math.max(this.#below, height);
    return id;
  }

  /** Computes `node`, unless it stands on so much, or is wanted at so many places, that it gets a kernel of its own. */
  #pull(node: ScheduleNode, coords: readonly LinearForm[], guards: readonly DraftGuard[], isRoot: boolean): Pulled {
    if (!isRoot && this.#repeats.exceeds(node)) return { id: this.#refuse(node, coords, guards), height: 1 };
    if (this.#depth === TALLEST) return this.#cut(node, coords, guards);
    const outer = this.#below;
    this.#depth++;
    this.#below = 0;
    const id = this.#compute(node, coords, guards, isRoot);
    const height = this.#below + 1;
    this.#depth--;
    this.#below = outer;
    return height > TALLEST && !isRoot ? this.#cut(node, coords, guards) : { id, height };
  }

  #cut(node: ScheduleNode, coords: readonly LinearForm[], guards: readonly DraftGuard[]): Pulled {
    this.tooTall = true;
    return { id: this.#refuse(node, coords, guards), height: 1 };
  }

  #compute(node: ScheduleNode, coords: readonly LinearForm[], guards: readonly DraftGuard[], isRoot: boolean): ValueId {
    const type = valueTypeOf(node.dtype);
    if (node.constant !== undefined) return this.constant(type, node.constant);
    if (!isRoot && !this.#options.absorbed.has(node) && this.#isMemory(node)) return this.#load(node, coords, guards);
    const at = (i: number): ValueId => this.value(node.inputs[i]!, coords, guards);
    const { lowering } = node;
    switch (lowering.class) {
      case "unary":
        return rounded(this, node, this.emit({ op: lowering.op, type, a: at(0) }));
      case "binary":
        return rounded(this, node, this.emit({ op: lowering.op, type, a: at(0), b: at(1) }));
      case "select":
        return this.emit({ op: "select", type, cond: at(0), a: at(1), b: at(2) });
      case "cast":
        return castValue(this, at(0), node.inputs[0]!.dtype, node.dtype);
      case "iota":
        return this.emit({ op: "affine", type: "i32", form: coords[0]! });
      case "random":
        return randomBits(this, node, coords);
      case "dequantize":
        return dequantized(this, node, coords, guards);
      case "view":
        return this.#view(node, lowering.view, coords, guards);
      case "reduce":
        return this.#reduce(node, lowering.combine, coords, guards);
      case "gather":
        return gathered(this, node, coords, guards);
      case "update":
        return updated(this, node, coords, guards);
      case "leaf":
        return this.#load(node, coords, guards);
      case "matmul":
        return this.#accumulator(node, coords, guards);
      case "scatter":
      case "composite":
      case "assemble":
        return this.#refuse(node, coords, guards);
      case "constant":
        return this.constant(type, node.attrs["value"] as number);
    }
  }

  #isMemory(node: ScheduleNode): boolean {
    return node.leaf !== undefined || this.refused.has(node) || this.#options.stored(node);
  }

  /** `node` cannot be computed here: read it, and tell the scheduler. */
  #refuse(node: ScheduleNode, coords: readonly LinearForm[], guards: readonly DraftGuard[]): ValueId {
    this.refused.add(node);
    return this.#load(node, coords, guards);
  }

  #accumulator(node: ScheduleNode, coords: readonly LinearForm[], guards: readonly DraftGuard[]): ValueId {
    const { index, at } = this.#options.accumulators ?? {};
    const found = index?.get(node);
    if (found === undefined || guards.length > 0 || !sameForm(linearize(coords, node.shape), at!, this.sizes))
      return this.#refuse(node, coords, guards);
    const sum = this.emit({ op: "acc", type: "f32", index: found });
    return node.dtype === "f16" || node.dtype === "bf16"
      ? this.emit({ op: "round", type: "f32", to: node.dtype, a: sum })
      : sum;
  }

  #load(node: ScheduleNode, coords: readonly LinearForm[], guards: readonly DraftGuard[]): ValueId {
    return this.#loadAt(node, linearize(coords, node.shape), guards);
  }

  #loadAt(source: ScheduleNode, index: LinearForm, guards: readonly DraftGuard[]): ValueId {
    return this.emit({
      op: "load",
      type: valueTypeOf(source.dtype),
      source,
      index,
      guards: guards.filter((g) => !this.#alwaysHolds(g)),
    });
  }

  #alwaysHolds(guard: DraftGuard): boolean {
    const range = rangeOf(guard.form, this.sizes);
    return range !== undefined && range[0] >= 0 && range[1] < guard.size;
  }

  #absorb(node: ScheduleNode, coords: readonly LinearForm[], guards: readonly DraftGuard[], value: ValueId): void {
    if (guards.length > 0 || coords.some((c) => c.dynamic !== undefined)) {
      this.refused.add(node);
      return;
    }
    const index = linearize(coords, node.shape);
    if (!this.extraStores.some((s) => s.target === node && JSON.stringify(s.index) === JSON.stringify(index)))
      this.extraStores.push({ target: node, index, value });
  }

  #view(node: ScheduleNode, view: string, coords: readonly LinearForm[], guards: readonly DraftGuard[]): ValueId {
    const x = node.inputs[0]!;
    switch (view) {
      case "alias":
        if (node.after !== undefined) this.waits.add(node.after);
        return this.value(x, coords, guards);
      case "permute":
      case "expand":
      case "slice":
        return this.value(x, coordsBehind(node, view, coords), guards);
      case "pad": {
        const low = node.attrs["low"] as number[];
        const moved = coords.map((c, d) => (low[d] === 0 ? c : scaleForm(c, 1, -low[d]!)));
        const added = moved.map((form, d) => ({ form, size: x.shape[d]! })).filter((g) => !this.#alwaysHolds(g));
        if (added.length === 0) return this.value(x, moved, guards);
        const inside = this.emit({ op: "inbounds", type: "bool", guards: added });
        const type = valueTypeOf(node.dtype);
        return this.emit({
          op: "select",
          type,
          cond: inside,
          a: this.value(x, moved, [...guards, ...added]),
          b: this.constant(type, node.attrs["value"] as number),
        });
      }
      case "reshape":
        return this.#reshape(node, coords, guards);
      default:
        return invariant(false, `unknown view ${view}`) as never;
    }
  }

  #reshape(node: ScheduleNode, coords: readonly LinearForm[], guards: readonly DraftGuard[]): ValueId {
    const x = node.inputs[0]!;
    const direct = regroup(node.shape, x.shape, coords);
    if (direct !== undefined) return this.value(x, direct, guards);
    const position = linearize(coords, node.shape);
    if (x.constant === undefined && !this.#options.absorbed.has(x) && this.#isMemory(x))
      return this.#loadAt(x, position, guards);
    const inside =
      this.#coordsIn(position, x.shape, guards) ??
      coordsInGroups(node.shape, x.shape, coords, (at, shape) => {
        const found = this.#coordsIn(at, shape, guards);
        return found ?? (this.#options.byBits === true && guards.length === 0 ? coordsByBits(this, at, shape) : found);
      });
    if (inside !== undefined) return this.value(x, inside, guards);
    this.refused.add(x);
    return this.#loadAt(x, position, guards);
  }

  /** Coordinates of a row-major position, asking for a split where that helps. */
  #coordsIn(position: LinearForm, shape: readonly number[], guards: readonly DraftGuard[]): LinearForm[] | undefined {
    // under a guard the form may run outside the tensor, where quotient and remainder would be wrong
    const range = rangeOf(position, this.sizes);
    if (range === undefined || (guards.length > 0 && (range[0] < 0 || range[1] >= shape.reduce((a, b) => a * b, 1))))
      return undefined;
    const coords = delinearize(position, shape, this.sizes);
    if (coords === undefined || !("dim" in coords)) return coords;
    if (this.#options.maySplit(coords.dim)) throw new SplitSignal(coords);
    return undefined;
  }

  #reduce(
    node: ScheduleNode,
    combine: "sum" | "max",
    coords: readonly LinearForm[],
    guards: readonly DraftGuard[],
  ): ValueId {
    const x = node.inputs[0]!;
    const dims = node.attrs["dims"] as number[];
    const sizes = dims.map((d) => x.shape[d]!);
    const innerCoords =
      this.#options.mayReduce && guards.length === 0 ? this.#enterReduction(coords, sizes) : undefined;
    if (innerCoords === undefined) return this.#refuse(node, coords, guards);
    const full = coords.map((c, d) => (dims.includes(d) ? innerCoords[dims.indexOf(d)]! : c));
    const reduced = this.emit({ op: "reduce", type: valueTypeOf(node.dtype), combine, a: this.value(x, full, guards) });
    return rounded(this, node, reduced);
  }

  /** Coordinates that run over the reduced dimensions, if this kernel can make them its inner ones. */
  #enterReduction(kept: readonly LinearForm[], sizes: readonly number[]): LinearForm[] | undefined {
    if (kept.some((c) => c.dynamic !== undefined)) return undefined;
    const used = new Set(kept.flatMap((c) => c.strides.flatMap((s, d) => (s !== 0 && this.sizes[d]! > 1 ? [d] : []))));
    const free = this.sizes.flatMap((s, d) => (s > 1 && !used.has(d) ? [d] : []));
    const count = sizes.reduce((a, b) => a * b, 1);
    if (this.inner === undefined) {
      if (free.length === 0) return this.#appendInner(sizes);
      if (free.reduce((n, d) => n * this.sizes[d]!, 1) !== count) return undefined;
      const over = this.#innerCoords(free, sizes);
      if (over !== undefined) this.inner = free;
      return over;
    }
    const outerFree = free.filter((d) => !this.inner!.includes(d));
    if (outerFree.length > 0 || this.inner.some((d) => used.has(d))) return undefined;
    if (this.inner.reduce((n, d) => n * this.sizes[d]!, 1) !== count) return undefined;
    return this.#innerCoords(this.inner, sizes);
  }

  #appendInner(sizes: readonly number[]): LinearForm[] {
    this.inner = [];
    return sizes.map((size, i) => {
      const factors = this.#options.innerFactors[i] ?? [size];
      const first = this.sizes.length;
      this.sizes.push(...factors);
      this.inner!.push(...factors.map((_, k) => first + k));
      return factorForm(first, factors);
    });
  }

  #innerCoords(over: readonly number[], sizes: readonly number[]): LinearForm[] | undefined {
    const position = linearize(
      over.map((d) => unitForm(d)),
      over.map((d) => this.sizes[d]!),
    );
    const coords = delinearize(position, sizes, this.sizes);
    if (coords === undefined) return undefined;
    if (!("dim" in coords)) return coords;
    if (this.#options.maySplit(coords.dim)) throw new SplitSignal(coords);
    return undefined;
  }
}
