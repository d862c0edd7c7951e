/** One WGSL module in the making: which helpers it needs, how its arguments are declared, and how their elements are read and written. */
import type { DType } from "../../../dtype.ts";
import { invariant } from "../../../errors.ts";
import type { Arg, ValueType } from "../../../ir/kernel.ts";
import type { UnaryOp } from "../../../ir/kernel.ts";
import { isHelper, printHelpers, type HelperName } from "./prelude.ts";

/** Code of a kernel and how many workgroups it wants; the grid is two-dimensional only because one dimension ends at 65535. */
export interface WgslKernel {
  readonly code: string;
  readonly workgroups: number;
}

/** Flat index of this workgroup in the grid. */
export const WORKGROUP_INDEX = "group.x + group.y * groups.x";

export class WgslModule {
  readonly #args: readonly Arg[];
  readonly #helpers = new Set<HelperName>();

  constructor(args: readonly Arg[]) {
    this.#args = args;
  }

  /** The name of a helper, which is printed along. */
  use(name: HelperName): HelperName {
    this.#helpers.add(name);
    return name;
  }

  /** A function of one number by its instruction: the helper of that name, else WGSL's own. */
  function(op: UnaryOp): string {
    const name = `${op}_`;
    return isHelper(name) ? this.use(name) : op;
  }

  /** Element `at` (an i32 expression) of an argument, widened to its register type. */
  load(arg: number, at: string): string {
    const { dtype } = this.#args[arg]!;
    const perWord = elementsPerWord(dtype);
    if (perWord === 1) return `b${arg}[${at}]`;
    const word = this.#shared(arg) ? `atomicLoad(&b${arg}[(${at}) / ${perWord}])` : `b${arg}[(${at}) / ${perWord}]`;
    const bits = `((${word} >> ${shiftOf(dtype, at)}) & ${maskOf(dtype)})`;
    switch (dtype) {
      case "f16":
        return `${this.use("widen_f16")}(${bits})`;
      case "bf16":
        return `${this.use("widen_bf16")}(${bits})`;
      case "bool":
        return `(${bits} != 0u)`;
      default:
        return bits;
    }
  }

  /**
   * Statements that write element `at`. Words hold several narrow elements, which may belong to different invocations: clearing and
   * setting only one's own bits, atomically, gives the same word in whatever order they come.
   */
  store(arg: number, at: string, value: string, type: ValueType): string[] {
    const { dtype } = this.#args[arg]!;
    const perWord = elementsPerWord(dtype);
    if (perWord === 1) return [`b${arg}[${at}] = ${value};`];
    const word = `&b${arg}[(${at}) / ${perWord}]`;
    const shift = shiftOf(dtype, at);
    return [
      `atomicAnd(${word}, ~(${maskOf(dtype)} << ${shift}));`,
      `atomicOr(${word}, (${this.#narrow(dtype, value, type)}) << ${shift});`,
    ];
  }

  /** The whole source around `functions`. */
  print(functions: readonly string[]): string {
    const bindings = this.#args.map(
      ({ dtype }, i) =>
        `@group(0) @binding(${i}) var<storage, read_write> b${i}: array<${this.#wordType(dtype, i)}>;\n`,
    );
    return [...bindings, printHelpers(this.#helpers), ...functions].join("");
  }

  #narrow(dtype: DType, value: string, type: ValueType): string {
    switch (dtype) {
      case "f16":
        return `${this.use("narrow_f16")}(${value})`;
      case "bf16":
        return `${this.use("narrow_bf16")}(${value})`;
      case "bool":
        return `select(0u, 1u, ${type === "bool" ? value : `${value} != ${type}(0)`})`;
      default:
        return `u32(${value}) & 0xffu`;
    }
  }

  #wordType(dtype: DType, arg: number): string {
    invariant(dtype !== "f64", "f64 exists on the reference device only");
    if (elementsPerWord(dtype) === 1) return dtype;
    return this.#shared(arg) ? "atomic<u32>" : "u32";
  }

  #shared(arg: number): boolean {
    return this.#args[arg]!.access !== "read";
  }
}

function elementsPerWord(dtype: DType): number {
  return dtype === "f16" || dtype === "bf16" ? 2 : dtype === "u8" || dtype === "bool" ? 4 : 1;
}

function shiftOf(dtype: DType, at: string): string {
  return elementsPerWord(dtype) === 2 ? `(u32((${at}) & 1) * 16u)` : `(u32((${at}) & 3) * 8u)`;
}

function maskOf(dtype: DType): string {
  return elementsPerWord(dtype) === 2 ? "0xffffu" : "0xffu";
}
