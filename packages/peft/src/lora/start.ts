/** Starts of A and B that need the base: PiSSA, OLoRA, orthogonal. Everything else is drawn with the weights. */
import {
  addProduct,
  bestFactors,
  LowrankError,
  RandomStream,
  toMemory,
  transposeOf,
  type Parameter,
} from "@lowrank/tensor";
import type { AdaptedProjection } from "../layers/adapted-projection.ts";
import type { LoraUpdate } from "../layers/lora.ts";
import { sharerOf } from "../layers/walk.ts";
import { qr } from "../linear-algebra.ts";
import type { StartContext, Started } from "../methods/method.ts";
import type { LoraConfig } from "./config.ts";

/** A [r, in], B [out, r] and s as they started, where W − s·B·A became the base. */
interface Start {
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly scale: number;
}

/** @throws LowrankError (AdapterError) where the start would write into a base that others read, or that is quantized */
export function checkProjection(
  { model, config: { initLora }, path }: StartContext<LoraConfig>,
  layer: AdaptedProjection,
): void {
  if (initLora !== "pissa" && initLora !== "olora" && initLora !== "loftq") return;
  const sharer = sharerOf(model, path, layer.weight);
  if (sharer !== undefined)
    throw new LowrankError(
      "AdapterError",
      `init_lora_weights "${initLora}" changes the base of ${path}, which ${sharer} reads as well; leave ${path} out or start it otherwise`,
    );
  if (initLora !== "loftq" && layer.weight.form !== undefined)
    throw new LowrankError(
      "AdapterError",
      `init_lora_weights "${initLora}" writes what is left over into the base, but ${path} is kept as ${layer.weight.form.kind}; start from the unquantized base`,
    );
}

/** Gives A and B of a projection their start. Returns what gives the base back what they took. */
export async function startProjection(
  { config: { initLora }, path, seed }: StartContext<LoraConfig>,
  layer: AdaptedProjection,
  update: LoraUpdate,
): Promise<Started | undefined> {
  if (initLora === "orthogonal") orthogonal(update, new RandomStream(seed, `orthogonal/${path}`));
  if (initLora !== "pissa" && initLora !== "olora") return undefined;
  const start = await fromBase(path, layer, update, initLora);
  return { restore: () => restore(layer, start) };
}

/** Gives the base back what A and B took: W ← W + s·B·A with their first values. */
async function restore(layer: AdaptedProjection, { a, b, scale }: Start): Promise<void> {
  const { inFeatures: n, outFeatures: m } = layer.site;
  const w = await layer.site.matrix().floats();
  addProduct(w, { a, b }, n, scale);
  write(layer.weight.parameter, layer.fanInFanOut ? transposeOf(w, m, n) : w);
}

function write(parameter: Parameter, values: ArrayLike<number>): void {
  parameter.write(toMemory(parameter.dtype, values, "f64"));
}

/** A and B from the odd and the even rows of a random orthogonal matrix, so that A·B starts at zero without B being zero; r must be even (PEFT). */
function orthogonal(update: LoraUpdate, random: RandomStream): void {
  const {
    rank: r,
    base: { inFeatures, outFeatures },
  } = update;
  if (r % 2 !== 0) throw new LowrankError("ConfigError", `init_lora_weights "orthogonal" needs an even rank, got ${r}`);
  const normal = (count: number): Float64Array => {
    const out = new Float64Array(count);
    random.fillNormal(out, 0, 1);
    return out;
  };
  const { q } = qr(normal(r * r), r, r);
  const half = r / 2;
  const [toA, toB] = [normal(inFeatures * half), normal(outFeatures * half)];
  const a = new Float64Array(r * inFeatures);
  const b = new Float64Array(outFeatures * r);
  for (let k = 0; k < half; k++) {
    for (let c = 0; c < r; c++) {
      const [odd, even] = [q[(2 * k + 1) * r + c]! / 10, q[2 * k * r + c]! / 10];
      for (let i = 0; i < inFeatures; i++) a[c * inFeatures + i]! += toA[i * half + k]! * odd;
      for (let o = 0; o < outFeatures; o++) b[o * r + c]! += toB[o * half + k]! * even;
    }
  }
  write(update.a.parameter, a);
  write(update.b.parameter, b);
}

/**
 * PiSSA (Meng et al. 2024): the top singular triplets of W go to A and B. OLoRA (Büyükakyüz 2024): the first rows of R and columns
 * of Q. Either way the base becomes W − s·B·A, so that the model starts as it was.
 */
async function fromBase(
  path: string,
  layer: AdaptedProjection,
  update: LoraUpdate,
  kind: "pissa" | "olora",
): Promise<Start> {
  const {
    rank: r,
    scale,
    base: { inFeatures: n, outFeatures: m },
  } = update;
  if (r > Math.min(m, n))
    throw new LowrankError(
      "ConfigError",
      `init_lora_weights "${kind}": rank ${r} is more than ${path}, ${m}×${n}, has`,
    );
  if (kind === "pissa" && !(scale > 0))
    throw new LowrankError(
      "ConfigError",
      `init_lora_weights "pissa" divides by alpha, which must be above 0 for ${path}`,
    );
  const w = await update.base.matrix().floats();
  const { a, b } = kind === "pissa" ? bestFactors(w, m, n, r, scale) : firstOfQr(w, m, n, r);
  write(update.a.parameter, a);
  write(update.b.parameter, b);
  // what was stored, not what was meant: the two differ by a rounding
  const start = { a: await update.a.value.floats(), b: await update.b.value.floats(), scale };
  addProduct(w, start, n, -scale);
  write(layer.weight.parameter, layer.fanInFanOut ? transposeOf(w, m, n) : w);
  return start;
}

/** The first r columns of Q come from the first r columns of W alone, and the first r rows of R are Qᵀ·W. */
function firstOfQr(w: Float64Array, m: number, n: number, r: number): { a: Float64Array; b: Float64Array } {
  const { q } = qr(
    Float64Array.from({ length: m * r }, (_, i) => w[Math.floor(i / r) * n + (i % r)]!),
    m,
    r,
  );
  const a = new Float64Array(r * n);
  for (let i = 0; i < r; i++)
    for (let o = 0; o < m; o++) for (let c = 0; c < n; c++) a[i * n + c]! += q[o * r + i]! * w[o * n + c]!;
  return { a, b: q };
}
