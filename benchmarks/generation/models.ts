/** Models whose texts are timed. */
import { resolve } from "node:path";
import { fromPretrained, metaModel, type PretrainedModel } from "@lowrank/models";
import type { Device } from "@lowrank/tensor";

export interface Timed {
  readonly name: string;
  /** The longest text that is timed. */
  readonly longest: number;
  load(device: Device): Promise<PretrainedModel>;
}

export const stories = (data: string): Timed => ({
  name: "stories260K",
  longest: 488,
  load: async (device) =>
    (await fromPretrained(resolve(data, "stories260K/stories260K.bin"), { device, task: "CAUSAL_LM" })).model,
});

/** 22 million weights, drawn. */
export const gpt2: Timed = {
  name: "GPT-2 shape, 22 M",
  longest: 512,
  async load(device) {
    const model = metaModel("GPT2LMHeadModel", { model_type: "gpt2", n_embd: 256, n_layer: 12, n_head: 4 });
    await model.materialize({ device, seed: 1 });
    return model;
  },
};

export const gguf = (path: string): Timed => ({
  name: path.split("/").at(-1)!,
  longest: 512,
  load: async (device) => (await fromPretrained(path, { device, task: "CAUSAL_LM" })).model,
});
