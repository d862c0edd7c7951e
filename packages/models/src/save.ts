/** Writing a model in the form of Hugging Face: `config.json` and `model.safetensors`. */
import type { Weight } from "@lowrank/nn";
import {
  encodeUtf8,
  LowrankError,
  toMemory,
  writeSafetensors,
  type StoredTensor,
  type WritableFiles,
} from "@lowrank/tensor";
import { pythonJson } from "@lowrank/tensor/check";
import { dtypeOf } from "./load.ts";
import type { PretrainedModel } from "./pretrained.ts";

/**
 * Refuses a model whose weights are not those of its class: adapters on it, merged or not, would be written under names that nothing reads.
 * @param plain the same class and config, without anything done to it
 */
export function requirePlain(model: PretrainedModel, plain: PretrainedModel): void {
  const wanted = new Map(plain.namedWeights());
  const have = new Map(model.namedWeights());
  const strange =
    [...have.keys()].find((name) => !wanted.has(name)) ?? [...wanted.keys()].find((name) => !have.has(name));
  if (strange !== undefined)
    throw new LowrankError(
      "AdapterError",
      `savePretrained: the model's weights are not those of a plain ${model.constructor.name} (${strange}): it carries adapters; save them with saveAdapter, or call mergeAndUnload first`,
    );
  const resized = [...have].find(([name, w]) => w.shape.join() !== wanted.get(name)!.shape.join());
  if (resized !== undefined)
    throw new LowrankError(
      "ShapeError",
      `savePretrained: ${resized[0]} is [${resized[1].shape.join(", ")}], and the model's config says [${wanted.get(resized[0])!.shape.join(", ")}]`,
    );
}

/** Numbers of a weight that is kept in a form are written in f32, whatever the device computes in. */
function inFile(stored: StoredTensor, { form }: Weight): StoredTensor {
  return form === undefined
    ? stored
    : { dtype: "f32", shape: stored.shape, data: toMemory("f32", stored.data, stored.dtype) };
}

/** Tensors are read from the device one at a time. */
export async function saveModel(
  model: PretrainedModel,
  files: WritableFiles,
  config: Readonly<Record<string, unknown>>,
): Promise<void> {
  const weights = new Map(
    [...model.namedWeights()].filter(([, w], i, all) => all.findIndex(([, other]) => other === w) === i),
  );
  await files.write("model.safetensors", (sink) =>
    writeSafetensors(
      sink,
      new Map(
        [...weights].map(([name, w]) => [
          name,
          { dtype: w.form === undefined ? w.parameter.dtype : "f32", shape: w.shape },
        ]),
      ),
      async (name) => inFile(await weights.get(name)!.read(), weights.get(name)!),
    ),
  );
  await files.write("config.json", async (sink) => {
    await sink(
      encodeUtf8(
        `${pythonJson({ ...config, dtype: dtypeOf(weights.values()) }, { floats: new Set(model.family.floatKeys), indent: 2, sortKeys: true })}\n`,
      ),
    );
  });
}
