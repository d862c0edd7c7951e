// Further ways out of lowrank, for check_edges.py. usage: edges.mjs PROJECT OUT
import {
  open,
  reporter,
  guarded,
  loadModel,
  inputsOf,
  logitsOf,
  readTensors,
  writeTensors,
  trainSteps,
  readJson,
  join,
  existsSync,
  writeFileSync,
} from "./common.mjs";
import { cpSync, rmSync } from "node:fs";
const [project, out] = process.argv.slice(2);
const lr = await open(project);
const report = reporter(out);
const device = await lr.tensor.init({ device: "wasm", threads: 1 });
const { directory, savePretrained, fromPretrained, architectures } = lr.models;
const root = join(out, "A", "edges");
const save = async (name, model, inputs, extra = {}) => {
  await savePretrained(model, join(root, name, "folder"));
  writeTensors(lr, join(root, name, "logits.safetensors"), { logits: await logitsOf(model, inputs) });
  writeFileSync(join(root, name, "case.json"), JSON.stringify({ base: "bert_cls", ...extra }));
};
// another number of labels than the base's config names
await guarded(report, "A/edges/labels-5-over-3", async () => {
  const { model } = await fromPretrained(
    join(out, "B", "forms", "bert_cls-bare", "folder"),
    architectures.BertForSequenceClassification,
    { device, labels: 5 },
  );
  await save("labels-5-over-3", model, await inputsOf(lr, join(out, "models", "bert_cls"), device));
});
// as transformers 4 wrote it, in half precision, and saved again
for (const [name, from, dtype] of [
  ["v4-llama", "llama_lm-v4-config"],
  ["f16-llama", "llama_lm-float16"],
  ["f16-llama-kept-f16", "llama_lm-float16", "f16"],
  ["bf16-bert-kept-bf16", "bert_cls-bfloat16", "bf16"],
]) {
  await guarded(report, `A/edges/${name}`, async () => {
    const base = from.startsWith("bert") ? "bert_cls" : "llama_lm";
    const { model } = await loadModel(
      lr,
      join(out, "B", "forms", from, "folder"),
      device,
      dtype === undefined ? {} : { dtype },
    );
    await save(name, model, await inputsOf(lr, join(out, "models", base), device), { base, dtype: dtype ?? "f32" });
  });
}
// merged, quantized base
await guarded(report, "A/edges/merged-into-dequantized", async () => {
  const { model } = await loadModel(lr, join(out, "models", "bert_cls"), device);
  const inputs = await inputsOf(lr, join(out, "models", "bert_cls"), device);
  await lr.quant.quantize(model);
  const adapter = await lr.peft.adapt(
    model,
    { r: 4, alpha: 8, targetModules: ["query", "dense"], taskType: "SEQ_CLS" },
    { device, seed: 3 },
  );
  await trainSteps(lr, model, inputs, device, { steps: 4 });
  await adapter.mergeAndUnload({ into: "dequantized" });
  await save("merged-into-dequantized", model, inputs);
});
// adapters as older PEFT wrote them, or in half precision (theirs, from B)
const peft = join(out, "B", "adapters");
const variants = {
  "old-config": (folder) => {
    const c = readJson(join(folder, "adapter_config.json"));
    writeFileSync(
      join(folder, "adapter_config.json"),
      JSON.stringify(
        Object.fromEntries(
          [
            "base_model_name_or_path",
            "bias",
            "fan_in_fan_out",
            "inference_mode",
            "init_lora_weights",
            "lora_alpha",
            "lora_dropout",
            "modules_to_save",
            "peft_type",
            "r",
            "target_modules",
            "task_type",
          ].map((k) => [k, c[k]]),
        ),
      ),
    );
  },
  "half-precision": async (folder) => {
    const tensors = await readTensors(lr, join(folder, "adapter_model.safetensors"));
    const half = new Map(
      [...tensors].map(([n, t]) => [n, { dtype: "f16", shape: t.shape, data: lr.tensor.f32ToF16(t.data) }]),
    );
    writeFileSync(join(folder, "adapter_model.safetensors"), lr.tensor.serialize(half));
  },
};
for (const [what, change] of Object.entries(variants)) {
  for (const [name, base] of [
    ["bert-lora", "bert_cls"],
    ["gpt2-lora", "gpt2_lm"],
    ["llama-dora", "llama_lm"],
  ]) {
    if (what === "old-config" && name === "llama-dora") continue;
    if (!existsSync(join(peft, name, "adapter"))) continue;
    await guarded(report, `B/edges/${what}/${name}`, async () => {
      const folder = join(root, `${what}-${name}`, "adapter");
      rmSync(folder, { recursive: true, force: true });
      cpSync(join(peft, name, "adapter"), folder, { recursive: true });
      await change(folder);
      const { model } = await loadModel(lr, join(out, "models", base), device);
      const inputs = await inputsOf(lr, join(out, "models", base), device);
      await lr.peft.loadAdapter(model, directory(folder), { device });
      writeTensors(lr, join(root, `${what}-${name}`, "logits.safetensors"), { logits: await logitsOf(model, inputs) });
      writeFileSync(join(root, `${what}-${name}`, "case.json"), JSON.stringify({ base, adapter: true }));
    });
  }
}
device.close();
