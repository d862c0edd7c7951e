/** Half precision as a rewrite of an op's operands and result; see `precision.ts` for the rules. */
import { isFloat, promote, type DType } from "../dtype.ts";
import { currentPrecision, withPrecision, type PrecisionClass } from "../precision.ts";
import { Tensor } from "../tensor.ts";
import { cast } from "./sources.ts";

/** `op` as an op of a precision class: called on operands that are cast as the policy in force says. */
export function inPrecision<Args extends readonly unknown[], Out>(
  wanted: PrecisionClass,
  op: (...args: Args) => Out,
): (...args: Args) => Out {
  return (...args) => {
    const policy = currentPrecision();
    if (wanted === "compute") return op(...(policy === undefined ? args : floatsTo(policy.compute, args)));
    const floats = args.filter(isFloatTensor);
    const half = floats.filter((x) => x.dtype === "f16" || x.dtype === "bf16");
    const narrow = wanted === "norm" && policy?.stream === "compute" ? policy.compute : undefined;
    if (half.length === 0) {
      const out = policy === undefined ? op(...args) : withPrecision(undefined, () => op(...args));
      return narrow !== undefined && isFloatTensor(out) ? (cast(out, narrow) as Out) : out;
    }
    const full = half[0]!.device.defaultFloat;
    const out = withPrecision(undefined, () => op(...floatsTo(full, args)));
    if (!isFloatTensor(out)) return out;
    if (policy !== undefined && wanted !== "inner") return narrow === undefined ? out : (cast(out, narrow) as Out);
    return cast(out, floats.map((x) => x.dtype).reduce(promote)) as Out;
  };
}

/** A value of the residual stream, as wide as the policy in force has it. */
export function inStream(x: Tensor): Tensor {
  const policy = currentPrecision();
  return policy === undefined ? x : cast(x, policy.stream === "full" ? x.device.defaultFloat : policy.compute);
}

function isFloatTensor(x: unknown): x is Tensor {
  return x instanceof Tensor && isFloat(x.dtype);
}

function floatsTo<Args extends readonly unknown[]>(dtype: DType, args: Args): Args {
  return args.map((x) => (isFloatTensor(x) ? cast(x, dtype) : x)) as unknown as Args;
}
