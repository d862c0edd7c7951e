/**
 * From drafts to kernels: dimensions of 1 are gone already, neighbours that every index walks through as one are merged, linear
 * forms become stride vectors and buffers become numbered arguments.
 *
 *   draft over dimensions [4, 8, 16]            kernel
 *   x[128·i + 16·j + k] + 1                     one dimension [512]:     arg 0 at n, + 1
 *   x[128·i + 16·j + k] + b[k]                  two of them [32, 16]:    arg 0 at 16·n + k, + arg 1 at k; b does not move with i and j
 *   w[…] − g[…] stored to w[…]                  w is one argument, "readwrite"
 */
import type { Arg, Guard, Index, Instr, Store, ValueId } from "../ir/kernel.ts";
import type { DraftGuard, DraftInstr, DraftStore } from "./draft.ts";
import type { ScheduleNode } from "./graph.ts";
import { stride, type LinearForm } from "./linear-form.ts";

/** Kernel arguments in order of first use. Nodes that live in the same storage share one. */
export class ArgList {
  readonly nodes: ScheduleNode[] = [];
  readonly #byHome = new Map<unknown, number>();
  readonly #access: { read: boolean; write: boolean }[] = [];
  readonly #homeOf: (node: ScheduleNode) => unknown;

  constructor(homeOf: (node: ScheduleNode) => unknown) {
    this.#homeOf = homeOf;
  }

  add(node: ScheduleNode, access: "read" | "write"): number {
    const home = this.#homeOf(node);
    let at = this.#byHome.get(home);
    if (at === undefined) {
      at = this.nodes.length;
      this.#byHome.set(home, at);
      this.nodes.push(node);
      this.#access.push({ read: false, write: false });
    }
    this.#access[at]![access] = true;
    return at;
  }

  specs(): Arg[] {
    return this.nodes.map((node, i) => {
      const { read, write } = this.#access[i]!;
      return { dtype: node.dtype, access: read && write ? "readwrite" : write ? "write" : "read", size: node.size };
    });
  }
}

/** A choice of dimensions: which draft dimensions each final dimension merges, the fastest of them last. */
export interface DimPlan {
  readonly groups: readonly (readonly number[])[];
  readonly sizes: readonly number[];
}

/** Merges neighbours in `order` wherever every form steps through them as through one longer dimension. `fence` keeps groups apart. */
export function mergeDims(
  order: readonly number[],
  sizes: readonly number[],
  forms: readonly LinearForm[],
  fence: (a: number, b: number) => boolean,
): DimPlan {
  const groups: number[][] = [];
  for (const d of order) {
    const last = groups[groups.length - 1];
    const previous = last?.[last.length - 1];
    const joins =
      previous !== undefined &&
      !fence(previous, d) &&
      forms.every((f) => stride(f, previous) === stride(f, d) * sizes[d]!);
    if (joins) last!.push(d);
    else groups.push([d]);
  }
  return { groups, sizes: groups.map((g) => g.reduce((n, d) => n * sizes[d]!, 1)) };
}

export function formsOf(body: readonly DraftInstr[], stores: readonly DraftStore[]): LinearForm[] {
  return [
    ...body.flatMap((i) => {
      if (i.op === "affine") return [i.form];
      if (i.op !== "load" && i.op !== "inbounds") return [];
      const guards = i.guards.map((g) => g.form);
      return i.op === "load" ? [i.index, ...guards] : guards;
    }),
    ...stores.map((s) => s.index),
  ];
}

export class Finisher {
  readonly #plan: DimPlan;
  readonly #args: ArgList;

  constructor(plan: DimPlan, args: ArgList) {
    this.#plan = plan;
    this.#args = args;
  }

  body(draft: readonly DraftInstr[]): { body: Instr[]; at: (id: ValueId) => ValueId } {
    const body: Instr[] = [];
    const moved: ValueId[] = [];
    const at = (id: ValueId): ValueId => moved[id]!;
    for (const instr of draft) moved.push(this.#instr(instr, body, at));
    return { body, at };
  }

  store(draft: DraftStore, at: (id: ValueId) => ValueId): Store {
    return {
      arg: this.#args.add(draft.target, "write"),
      index: this.#index(draft.index, [], at),
      value: at(draft.value),
    };
  }

  #instr(instr: DraftInstr, body: Instr[], at: (id: ValueId) => ValueId): ValueId {
    const push = (made: Instr): ValueId => body.push(made) - 1;
    switch (instr.op) {
      case "load":
        return push({
          op: "load",
          type: instr.type,
          arg: this.#args.add(instr.source, "read"),
          index: this.#index(instr.index, instr.guards, at),
        });
      case "inbounds":
        return push({ op: "inbounds", type: "bool", guards: instr.guards.map((g) => this.#guard(g, at)) });
      case "affine":
        return this.#affine(instr.form, instr.type, push, at);
      case "const":
      case "acc":
        return push(instr);
      case "select":
        return push({ ...instr, cond: at(instr.cond), a: at(instr.a), b: at(instr.b) });
      case "random":
        return push({ ...instr, k0: at(instr.k0), k1: at(instr.k1), index: at(instr.index), row: at(instr.row) });
      default:
        return push("b" in instr ? { ...instr, a: at(instr.a), b: at(instr.b) } : { ...instr, a: at(instr.a) });
    }
  }

  /** offset + Σ stride·coord as instructions. */
  #affine(form: LinearForm, type: "i32" | "u32", push: (i: Instr) => ValueId, at: (id: ValueId) => ValueId): ValueId {
    const constant = (value: number): ValueId => push({ op: "const", type: "i32", value });
    const terms: ValueId[] = [];
    this.#strides(form).forEach((s, d) => {
      if (s === 0) return;
      const coord = push({ op: "coord", type: "i32", dim: d });
      terms.push(s === 1 ? coord : push({ op: "mul", type: "i32", a: coord, b: constant(s) }));
    });
    for (const t of form.dynamic ?? [])
      terms.push(
        t.stride === 1 ? at(t.value) : push({ op: "mul", type: "i32", a: at(t.value), b: constant(t.stride) }),
      );
    if (form.offset !== 0 || terms.length === 0) terms.push(constant(form.offset));
    const sum = terms.reduce((a, b) => push({ op: "add", type: "i32", a, b }));
    return type === "i32" ? sum : push({ op: "cast", type: "u32", a: sum });
  }

  #strides(form: LinearForm): number[] {
    return this.#plan.groups.map((g) => stride(form, g[g.length - 1]!));
  }

  #dynamic(form: LinearForm, at: (id: ValueId) => ValueId): { dynamic?: { value: ValueId; stride: number }[] } {
    return form.dynamic === undefined
      ? {}
      : { dynamic: form.dynamic.map((t) => ({ value: at(t.value), stride: t.stride })) };
  }

  #guard(guard: DraftGuard, at: (id: ValueId) => ValueId): Guard {
    return {
      offset: guard.form.offset,
      strides: this.#strides(guard.form),
      size: guard.size,
      ...this.#dynamic(guard.form, at),
    };
  }

  #index(form: LinearForm, guards: readonly DraftGuard[], at: (id: ValueId) => ValueId): Index {
    return {
      offset: form.offset,
      strides: this.#strides(form),
      ...this.#dynamic(form, at),
      ...(guards.length === 0 ? {} : { guards: guards.map((g) => this.#guard(g, at)) }),
    };
  }
}
