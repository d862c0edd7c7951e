/**
 * LoftQ (Li et al. 2023, arXiv:2310.08659): A and B begin as the best product of rank r for what quantization loses of the weight, so that base and
 * adapter together begin near it. Each further iteration quantizes the weight less the product found so far, as PEFT's `loftq_init` does.
 *
 * The base is quantized already, and stays in its own form: W is read from the model at full width that it was made from. With one iteration nothing
 * is written into it.
 */
import { Projection, type Module, type WeightForm } from "@lowrank/nn";
import { addProduct, bestFactors, LowrankError, toMemory, transposeOf } from "@lowrank/tensor";
import type { AdaptedProjection } from "../layers/adapted-projection.ts";
import type { LoraUpdate } from "../layers/lora.ts";
import type { StartContext, Started } from "../methods/method.ts";
import type { LoftqConfig, LoraConfig } from "./config.ts";

/** The only form that `loftq_config` can say. */
const FORM = "nf4";

/** Above this share of the weight what is lost is no loss of four bits, which is a tenth. */
const OTHER_MODEL = 0.5;

/** @throws LowrankError naming what is missing for a start of this module */
export function checkLoftq(context: StartContext<LoraConfig>, layer: AdaptedProjection, update: LoraUpdate): void {
  const { config, path, original } = context;
  const { form } = layer.weight;
  const fail = (why: string): never => {
    throw new LowrankError("AdapterError", `init_lora_weights "loftq": ${why}`);
  };
  if (form?.kind !== FORM || form.format === undefined)
    fail(
      `${path} is kept as ${form?.kind ?? layer.weight.parameter.dtype}, and the start is for what NF4 loses; quantize the base first (storage nf4), and say what it was made from (original)`,
    );
  const own = Object.keys(config.source).length === 0;
  // a file brings A and B, and one iteration leaves the base as it is
  if (original === undefined && (own || config.loftq!.iterations > 1))
    fail(`it looks at the weights before they were quantized; give the model at full width as "original"`);
  if (own && update.scale !== 1)
    fail(
      `the scale of ${path} is ${update.scale}, and LoftQ's product allows for none (PEFT's neither); set alpha to r, here ${update.rank}`,
    );
  const { inFeatures, outFeatures } = layer;
  if (update.rank > Math.min(inFeatures, outFeatures))
    fail(`rank ${update.rank} is more than ${path}, ${outFeatures}×${inFeatures}, has`);
  if (original !== undefined) fullWeight(original, path, layer);
}

/** The original's weight. @throws LowrankError (AdapterError) where it has none of this shape */
function fullWeight(original: Module, path: string, layer: AdaptedProjection): Projection["weight"] {
  const found = [...original.namedModules()].find(([name]) => name === path)?.[1];
  const weight = found instanceof Projection ? found.weight : undefined;
  if (weight?.shape.join() !== layer.weight.shape.join() || weight.form !== undefined)
    throw new LowrankError(
      "AdapterError",
      `init_lora_weights "loftq": the original has no ${path} of [${layer.weight.shape.join(", ")}] at full width; give the model that the base was quantized from`,
    );
  return weight;
}

/** Writes A and B, and what the base becomes. Undefined where a file brings them and the base stays. */
export async function startLoftq(
  { config, path, device, original }: StartContext<LoraConfig>,
  layer: AdaptedProjection,
  update: LoraUpdate,
): Promise<Started | undefined> {
  if (original === undefined) return undefined;
  const { iterations } = config.loftq as LoftqConfig;
  const { inFeatures: n, outFeatures: m, fanInFanOut, weight } = layer;
  const from = fullWeight(original, path, layer);
  const turned = (x: Float64Array): Float64Array => (fanInFanOut ? transposeOf(x, n, m) : x);
  const whole = turned(await from.value.floats());
  const format = weight.form!.format!;
  const keep = (target: Float64Array): WeightForm => {
    const values = Float32Array.from(fanInFanOut ? transposeOf(target, m, n) : target);
    return format.keep(device, weight.name, weight.shape, values);
  };
  const put = (form: WeightForm): void => {
    weight.form!.dispose();
    weight.form = form;
  };
  const rest = async (): Promise<Float64Array> => {
    const kept = turned(await weight.value.floats());
    return whole.map((w, i) => w - kept[i]!);
  };
  let lost = await rest();
  const [size, before] = [norm(whole), norm(lost)];
  if (before === 0 || before > OTHER_MODEL * size)
    throw new LowrankError(
      "AdapterError",
      `init_lora_weights "loftq": ${path} of the original ${before === 0 ? "is what the base holds, so that nothing of it is lost" : "is not what the base was quantized from"}; give the model as it was before that`,
    );
  for (let i = 1; ; i++) {
    const { a, b } = bestFactors(lost, m, n, update.rank);
    update.a.parameter.write(toMemory(update.a.parameter.dtype, a, "f64"));
    update.b.parameter.write(toMemory(update.b.parameter.dtype, b, "f64"));
    // what is stored, not what was meant
    const stored = { a: await update.a.value.floats(), b: await update.b.value.floats() };
    if (i >= iterations) {
      addProduct(lost, stored, n, -1);
      break;
    }
    const target = Float64Array.from(whole);
    addProduct(target, stored, n, -1);
    put(keep(target));
    lost = await rest();
  }
  return {
    error: { weight: size, before, after: norm(lost) },
    async restore() {
      // the original may be gone by then: the base is another one of its form then, and as near
      if (iterations > 1 && from.materialized) put(keep(turned(await from.value.floats())));
    },
  };
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
}
