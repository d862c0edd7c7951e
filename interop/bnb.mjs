// B and A with bitsandbytes: reads what bnb_theirs.py wrote; writes quantized folders for check_bnb.py. usage: bnb.mjs PROJECT OUT
import {
  open,
  reporter,
  guarded,
  loadModel,
  inputsOf,
  logitsOf,
  compare,
  figure,
  readTensors,
  writeTensors,
  readJson,
  trainSteps,
  join,
  existsSync,
  writeFileSync,
  short,
} from "./common.mjs";
import { readdirSync, readFileSync } from "node:fs";
const [project, out] = process.argv.slice(2);
const lr = await open(project);
const report = reporter(out);
const device = await lr.tensor.init({ device: "wasm", threads: 1 });
const { quant } = lr;
const root = join(out, "B", "bnb");
for (const name of existsSync(root) ? readdirSync(root).sort() : []) {
  const here = join(root, name);
  if (!existsSync(join(here, "case.json"))) continue;
  const info = readJson(join(here, "case.json"));
  const folder = join(here, "folder");
  const inputs = await inputsOf(lr, join(out, "models", info.base), device);
  const wanted = await readTensors(lr, join(here, "logits.safetensors"));
  // bitsandbytes computes in the dtype that the file names
  const loose = name.includes("bf16") && !name.includes("storage") ? 2e-2 : 1e-4;
  const rounding =
    info.rounding == null ? "" : `with activations in 8 bits bitsandbytes is at ${info.rounding.toExponential(1)}`;
  // the way a user would: one call
  await guarded(report, `B/bnb-fromPretrained/${name}`, async () => {
    const { model } = await loadModel(lr, folder, device);
    const c = compare((await logitsOf(model, inputs)).data, wanted.get("logits").data);
    report(`B/bnb-fromPretrained/${name}`, c.relative <= loose ? "PASS" : "FAIL", figure(c), rounding);
    model.dispose();
  });
  // the long way: loadQuantized, then materialize from the same file
  await guarded(report, `B/bnb-loadQuantized/${name}`, async () => {
    const config = readJson(join(folder, "config.json"));
    const choice = quant.readQuantizationConfig(config);
    const model = lr.models.metaModel(lr.models.architectureFor(config), config);
    const source = await lr.tensor.openFile(join(folder, "model.safetensors"));
    const file = await lr.tensor.SafetensorsFile.open(source);
    const loaded = await quant.loadQuantized(model, file, device);
    const tied = model.tied;
    const place = (n) => (file.has(n) ? n : tied.has(n) && file.has(tied.get(n)) ? tied.get(n) : undefined);
    const { fresh } = await model.materialize({
      device,
      values: { has: (n) => place(n) !== undefined, read: (n) => file.read(place(n)) },
    });
    await source.close?.();
    const got = (await logitsOf(model, inputs)).data;
    const c = compare(got, wanted.get("logits").data);
    const d = compare(got, wanted.get("dequantized").data);
    const same =
      loaded
        .map((n) => n.replace(/\.weight$/, ""))
        .sort()
        .join() === info.modules.join();
    report(
      `B/bnb-loadQuantized/${name}`,
      c.relative <= loose && fresh.length === 0 && same ? "PASS" : "FAIL",
      `${figure(c)}; against dequantized ${d.relative.toExponential(1)}`,
      short(
        `${choice.format} ${loaded.length} modules${same ? "" : ` (bitsandbytes has ${info.modules.length})`}${fresh.length === 0 ? "" : `; fresh ${fresh}`}`,
      ),
    );
    model.dispose();
  });
}
// ours: every family, written as a folder
const to = join(out, "A", "bnb");
/** Of these the forms that people keep models in. */
const LATER = ["deberta3_cls", "mistral_lm", "qwen2_lm", "qwen3_lm", "gemma3_lm"];
for (const base of [
  "bert_cls",
  "distil_cls",
  "roberta_cls",
  "gpt2_lm",
  "llama_lm",
  "llama_tied",
  "bert_mlm",
  "real_cls",
  ...LATER,
].filter((n) => existsSync(join(out, "models", n)))) {
  for (const [format, nested] of [
    ["nf4", true],
    ["nf4", false],
    ["fp4", true],
    ["fp4", false],
    ["int8", false],
  ]) {
    if (LATER.includes(base) && format !== "int8" && !(format === "nf4" && nested)) continue;
    const name = `${base}-${format}${nested ? "-nested" : ""}`;
    await guarded(report, `A/bnb-write/${name}`, async () => {
      const folder = join(out, "models", base);
      const { model } = await loadModel(lr, folder, device);
      const inputs = await inputsOf(lr, folder, device);
      const parts = await quant.quantize(model, { format, doubleQuantization: nested });
      const logits = await logitsOf(model, inputs);
      const here = join(to, name);
      await lr.models.savePretrained(model, join(here, "folder"));
      // loaded and saved again it is the same to the last byte
      const { model: again } = await loadModel(lr, join(here, "folder"), device);
      await lr.models.savePretrained(again, join(here, "again"), { maxShardSize: "1TB" });
      const same = ["model.safetensors", "config.json"].every((file) =>
        readFileSync(join(here, "again", file)).equals(readFileSync(join(here, "folder", file))),
      );
      const c = compare((await logitsOf(again, inputs)).data, logits.data);
      again.dispose();
      report(`A/bnb-again/${name}`, same && c.relative === 0 ? "PASS" : "FAIL", same ? figure(c) : "other bytes");
      writeTensors(lr, join(here, "logits.safetensors"), { logits });
      writeFileSync(
        join(here, "case.json"),
        JSON.stringify({ base, format, nested, modules: parts.map((p) => p.path).sort() }),
      );
      model.dispose();
    });
  }
}
// in shards, an index and a few bytes each
for (const base of ["bert_cls", "llama_lm"].filter((n) => existsSync(join(out, "models", n)))) {
  const name = `${base}-nf4-nested-shards`;
  await guarded(report, `A/bnb-write/${name}`, async () => {
    const { model } = await loadModel(lr, join(out, "models", base), device);
    const parts = await quant.quantize(model);
    await lr.models.savePretrained(model, join(to, name, "folder"), { maxShardSize: "20KB" });
    const logits = await logitsOf(model, await inputsOf(lr, join(out, "models", base), device));
    writeTensors(lr, join(to, name, "logits.safetensors"), { logits });
    writeFileSync(
      join(to, name, "case.json"),
      JSON.stringify({ base, format: "nf4", nested: true, modules: parts.map((p) => p.path).sort() }),
    );
    model.dispose();
  });
}
// QLoRA: an adapter trained on a four-bit base, each way
for (const [base, targetModules] of Object.entries({
  bert_cls: ["query", "value", "dense"],
  real_cls: ["query", "value", "dense"],
  gpt2_lm: ["c_attn", "c_proj"],
  llama_lm: ["q_proj", "down_proj"],
  deberta3_cls: ["query_proj", "dense"],
  qwen3_lm: ["q_proj", "down_proj"],
  gemma3_lm: ["q_proj", "down_proj"],
})) {
  if (!existsSync(join(out, "models", base))) continue;
  const folder = join(out, "models", base);
  await guarded(report, `A/qlora-write/${base}`, async () => {
    const { model } = await loadModel(lr, folder, device);
    const inputs = await inputsOf(lr, folder, device);
    await quant.quantize(model, { doubleQuantization: false });
    const adapter = await lr.peft.adapt(
      model,
      { r: 4, alpha: 8, targetModules, taskType: base.endsWith("cls") ? "SEQ_CLS" : "CAUSAL_LM" },
      { device, seed: 3 },
    );
    await trainSteps(lr, model, inputs, device, { steps: 4, rate: base === "real_cls" ? 2e-3 : 1e-2 });
    await lr.peft.saveAdapter(adapter, lr.models.directory(join(out, "A", "qlora", base, "adapter")));
    writeTensors(lr, join(out, "A", "qlora", base, "logits.safetensors"), { logits: await logitsOf(model, inputs) });
    model.dispose();
  });
  const there = join(out, "B", "qlora", base);
  if (existsSync(there))
    await guarded(report, `B/qlora-loads/${base}`, async () => {
      const { model } = await loadModel(lr, folder, device);
      const inputs = await inputsOf(lr, folder, device);
      await quant.quantize(model, { doubleQuantization: false });
      await lr.peft.loadAdapter(model, lr.models.directory(join(there, "adapter")), { device });
      const c = compare(
        (await logitsOf(model, inputs)).data,
        (await readTensors(lr, join(there, "logits.safetensors"))).get("logits").data,
      );
      report(`B/qlora-loads/${base}`, c.relative <= 1e-4 ? "PASS" : "FAIL", figure(c));
      model.dispose();
    });
}
// a quantized model saved as numbers
await guarded(report, "A/bnb-dequantized/bert_cls-nf4", async () => {
  const folder = join(out, "models", "bert_cls");
  const { model } = await loadModel(lr, folder, device);
  await quant.quantize(model);
  const logits = await logitsOf(model, await inputsOf(lr, folder, device));
  await lr.models.savePretrained(model, join(to, "savePretrained", "folder"), { dequantize: "f32" });
  writeTensors(lr, join(to, "savePretrained", "logits.safetensors"), { logits });
  writeFileSync(
    join(to, "savePretrained", "case.json"),
    JSON.stringify({ base: "bert_cls", format: "none", nested: false, modules: [] }),
  );
});
device.close();
