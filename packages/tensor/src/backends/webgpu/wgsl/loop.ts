/**
 * Loop kernels as WGSL. A row is a point of the outer dimensions; its inner points are walked once for every stage of reductions and
 * once more for the stores, computing element values anew each time. Short rows belong to one invocation, long ones to a workgroup
 * whose partial results meet in a fixed tree, so results do not depend on how the work was scheduled.
 */
import { bodyFacts, indexOperands, reachable, storesElements, type BodyFacts } from "../../../ir/facts.ts";
import type { Instr, LoopKernel, Store, ValueId, ValueType } from "../../../ir/kernel.ts";
import { printConstant, printNeeded, printPlace, printValue, type Scope } from "./expression.ts";
import { decode, product } from "./grid.ts";
import { WgslModule, WORKGROUP_INDEX, type WgslKernel } from "./module.ts";

/** What a maximum begins with; where it is not here, 0. */
const LEAST: Partial<Record<ValueType, number>> = { f32: -Infinity, i32: -(2 ** 31) };

const ROWS_PER_GROUP = 64;
const WIDE_GROUP = 128;
/** Rows from this length on are shared by a workgroup … */
const WIDE_ROW = 64;
/** … unless there are rows enough to keep a device busy and neighbours in a row are not neighbours in memory, as in sums of columns. */
const MANY_ROWS = 1 << 12;
/** Terms that are added up by themselves before they join a sum: keeps rounding errors from growing with its length. */
const SUM_BLOCK = 64;

export function printLoop(kernel: LoopKernel): WgslKernel {
  const rows = product(kernel.outer);
  const elements = product(kernel.inner);
  const wide =
    elements >= WIDE_ROW &&
    (rows < MANY_ROWS || kernel.body.some((instr) => instr.op === "load" && instr.index.strides.at(-1) === 1));
  const printer = new LoopPrinter(kernel, rows, elements, wide);
  return { code: printer.print(), workgroups: wide ? rows : Math.ceil(rows / ROWS_PER_GROUP) };
}

class LoopPrinter {
  readonly #kernel: LoopKernel;
  readonly #rows: number;
  readonly #elements: number;
  readonly #wide: boolean;
  readonly #facts: BodyFacts;
  readonly #module: WgslModule;
  readonly #lines: string[] = [];
  readonly #shared = new Set<ValueType>();
  /** What every invocation of a row knows. */
  readonly #row: Scope;

  constructor(kernel: LoopKernel, rows: number, elements: number, wide: boolean) {
    this.#kernel = kernel;
    this.#rows = rows;
    this.#elements = elements;
    this.#wide = wide;
    const rank = kernel.outer.length + kernel.inner.length;
    this.#facts = bodyFacts(kernel.body, kernel.outer.length, rank);
    this.#module = new WgslModule(kernel.args);
    this.#row = { values: new Map(), coords: Array.from({ length: rank }, (_, d) => `c${d}`) };
  }

  print(): string {
    const { body, outer, stores } = this.#kernel;
    const live = reachable(
      body,
      stores.flatMap((s) => [s.value, ...indexOperands(s.index)]),
    );
    this.#header();
    for (let stage = 0; ; stage++) {
      this.#rowValues(live, stage);
      if (stage === this.#facts.stages) break;
      const ending = body.flatMap((instr, id) =>
        live[id] && instr.op === "reduce" && this.#facts.stage[id] === stage + 1 ? [id] : [],
      );
      if (ending.length > 0) this.#reductions(ending);
    }
    const perElement = stores.filter((s) => storesElements(s, this.#facts, outer.length));
    const perRow = stores.filter((s) => !perElement.includes(s));
    if (perElement.length > 0) this.#overInner((scope) => this.#stores(perElement, scope));
    if (perRow.length > 0) this.#rowStores(perRow);
    const shared = [...this.#shared].map((type) => `var<workgroup> shared_${type}: array<${type}, ${WIDE_GROUP}>;\n`);
    const main = `@compute @workgroup_size(${this.#groupSize})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
${this.#lines.map((l) => `  ${l}\n`).join("")}}\n`;
    return this.#module.print([...shared, main]);
  }

  get #groupSize(): number {
    return this.#wide ? WIDE_GROUP : ROWS_PER_GROUP;
  }

  #header(): void {
    const { outer } = this.#kernel;
    this.#lines.push(
      `let row = i32(${this.#wide ? WORKGROUP_INDEX : `(${WORKGROUP_INDEX}) * ${ROWS_PER_GROUP}u + local`});`,
    );
    this.#lines.push(`if (row >= ${this.#rows}) { return; }`, ...decode("row", outer, 0));
  }

  /** Values without an inner coordinate that `stage` passes make known. */
  #rowValues(live: readonly boolean[], stage: number): void {
    const { body, outer } = this.#kernel;
    body.forEach((instr, id) => {
      const known = this.#row.values.has(id) || instr.op === "reduce";
      if (!live[id] || known || this.#facts.dims[id]! >>> outer.length !== 0 || this.#facts.stage[id]! > stage) return;
      this.#lines.push(...printValue(this.#module, body, id, this.#row, "v"));
    });
  }

  /** A loop over the inner points; `visit` prints its body given what is known inside. */
  #overInner(visit: (scope: Scope) => string[], before: readonly string[] = [], after: readonly string[] = []): void {
    const { outer, inner } = this.#kernel;
    const scope: Scope = { values: new Map(this.#row.values), coords: this.#row.coords };
    const [from, step] = this.#wide ? ["i32(local)", WIDE_GROUP] : ["0", 1];
    const lines = [...decode("t", inner, outer.length), ...visit(scope)];
    this.#lines.push(
      ...before,
      `for (var t = ${from}; t < ${this.#elements}; t += ${step}) {`,
      ...lines.map((l) => `  ${l}`),
      "}",
      ...after,
    );
  }

  #reductions(ids: readonly ValueId[]): void {
    const { body } = this.#kernel;
    const reductions = ids.map(
      (id) => new Reduction(this.#module, id, body[id] as Reduce, this.#wide ? WIDE_GROUP : 1),
    );
    this.#overInner(
      (scope) => [
        ...printNeeded(
          this.#module,
          body,
          reductions.map((r) => r.instr.a),
          scope,
          "e",
        ),
        ...reductions.flatMap((r) => r.step(scope.values.get(r.instr.a)!)),
      ],
      reductions.flatMap((r) => r.start()),
    );
    for (const r of reductions) {
      // compilers that see a sum of nothing take 0 / x for 0, which it is not where x is 0; this 0 they do not see
      const nothing = this.#elements === 0 && r.instr.type === "f32";
      const result = nothing ? `${r.result()} + f32(local >> 31u)` : r.result();
      if (!this.#wide) this.#lines.push(`let v${r.id} = ${result};`);
      else {
        this.#shared.add(r.instr.type === "bool" ? "u32" : r.instr.type);
        this.#lines.push(...r.meet());
      }
      this.#row.values.set(r.id, `v${r.id}`);
    }
  }

  /** All values first, then the writes: a store may overwrite what another one reads. */
  #stores(stores: readonly Store[], scope: Scope): string[] {
    const { body } = this.#kernel;
    const lines = printNeeded(
      this.#module,
      body,
      stores.flatMap((s) => [s.value, ...indexOperands(s.index)]),
      scope,
      "e",
    );
    const writes = stores.flatMap((s) => {
      const at = `s${this.#kernel.stores.indexOf(s)}`;
      lines.push(`let ${at} = ${printPlace(s.index, body, scope)};`);
      return this.#module.store(s.arg, at, scope.values.get(s.value)!, body[s.value]!.type);
    });
    return [...lines, ...writes];
  }

  #rowStores(stores: readonly Store[]): void {
    const lines = this.#stores(stores, this.#row);
    // the other invocations of the row may still be reading what is about to be overwritten
    if (this.#wide) this.#lines.push("storageBarrier();", "if (local == 0u) {", ...lines.map((l) => `  ${l}`), "}");
    else this.#lines.push(...lines);
  }
}

type Reduce = Extract<Instr, { op: "reduce" }>;

/** Accumulates one `reduce` inside an invocation and, where a workgroup shares the row, across it. */
class Reduction {
  readonly id: ValueId;
  readonly instr: Reduce;
  readonly #module: WgslModule;
  readonly #lanes: number;

  constructor(module: WgslModule, id: ValueId, instr: Reduce, lanes: number) {
    this.#module = module;
    this.id = id;
    this.instr = instr;
    this.#lanes = lanes;
  }

  get #blocked(): boolean {
    return this.instr.combine === "sum" && this.instr.type === "f32";
  }

  start(): string[] {
    const { type, combine } = this.instr;
    const empty = combine === "sum" ? 0 : (LEAST[type] ?? 0);
    const lines = [`var r${this.id}: ${type} = ${printConstant(this.#module, type, empty)};`];
    return this.#blocked ? [...lines, `var p${this.id} = 0.0f;`] : lines;
  }

  step(value: string): string[] {
    if (!this.#blocked) return [`r${this.id} = ${this.#combine(`r${this.id}`, value)};`];
    const period = SUM_BLOCK * this.#lanes;
    return [
      `p${this.id} += ${value};`,
      `if (t % ${period} >= ${period - this.#lanes}) { r${this.id} += p${this.id}; p${this.id} = 0.0f; }`,
    ];
  }

  result(): string {
    return this.#blocked ? `r${this.id} + p${this.id}` : `r${this.id}`;
  }

  /** A tree over the workgroup's partial results. The first barrier keeps them apart from those of the reduction before. */
  meet(): string[] {
    const { type } = this.instr;
    const [shared, wrap, unwrap] =
      type === "bool"
        ? (["shared_u32", (x: string) => `select(0u, 1u, ${x})`, (x: string) => `(${x} != 0u)`] as const)
        : ([`shared_${type}`, (x: string) => x, (x: string) => x] as const);
    const pair = this.#combine(unwrap(`${shared}[local]`), unwrap(`${shared}[local + span]`));
    return [
      "workgroupBarrier();",
      `${shared}[local] = ${wrap(this.result())};`,
      "workgroupBarrier();",
      `for (var span = ${this.#lanes / 2}u; span > 0u; span /= 2u) {`,
      `  if (local < span) { ${shared}[local] = ${wrap(pair)}; }`,
      "  workgroupBarrier();",
      "}",
      `let v${this.id} = ${unwrap(`${shared}[0]`)};`,
    ];
  }

  #combine(a: string, b: string): string {
    const { type, combine } = this.instr;
    if (type === "bool") return `(${a} | ${b})`;
    if (combine === "sum") return `${a} + ${b}`;
    return type === "f32" ? `${this.#module.use("nan_max")}(${a}, ${b})` : `max(${a}, ${b})`;
  }
}
