/** Adapter directories: what is written comes back, what is not built is refused by name. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fromBytes, init, SafetensorsFile, type ByteSink, type RandomAccess } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { adapt, adapterConfigFile, loadAdapter, parseAdapterConfig, saveAdapter, type AdapterFiles } from "../src/index.ts";
import { Toy } from "./toy.ts";

const golden = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures", "peft/adapters");

class MemoryFiles implements AdapterFiles {
  readonly where = "memory";
  readonly content = new Map<string, Uint8Array>();
  exists(name: string): Promise<boolean> { return Promise.resolve(this.content.has(name)); }
  text(name: string): Promise<string> { return Promise.resolve(new TextDecoder().decode(this.content.get(name))); }
  open(name: string): Promise<RandomAccess> { return Promise.resolve(fromBytes(this.content.get(name)!)); }
  async write(name: string, produce: (sink: ByteSink) => Promise<void>): Promise<void> {
    const parts: Uint8Array[] = [];
    await produce((bytes) => { parts.push(bytes.slice()); });
    this.content.set(name, Buffer.concat(parts));
  }
}

it("an adapter comes back bit for bit, with the config's unknown keys", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const model = new Toy(3);
  await model.materialize({ device, seed: 1 });
  const config = parseAdapterConfig({ peft_type: "LORA", r: 2, lora_alpha: 6, target_modules: ["up", "down"], task_type: "SEQ_CLS", some_future_key: [1], rank_pattern: { up: 3 } });
  const adapter = await adapt(model, config, { device, seed: 7 });
  const [first, second] = [new MemoryFiles(), new MemoryFiles()];
  await saveAdapter(adapter, first);
  const other = new Toy(3);
  await other.materialize({ device, seed: 2 });
  await saveAdapter(await loadAdapter(other, first, { device }), second);
  expect(second.content).toEqual(first.content);
  const file = await SafetensorsFile.open(await first.open("adapter_model.safetensors"));
  expect(file.names).toContain("base_model.model.layer.0.up.lora_A.weight");
  expect(file.names).toContain("base_model.model.classifier.weight");
  expect(file.info("base_model.model.layer.1.up.lora_B.weight").shape).toEqual([6, 3]);
  const text = await first.text("adapter_config.json");
  expect(JSON.parse(text)).toMatchObject({ some_future_key: [1], r: 2, lora_alpha: 6, inference_mode: true, modules_to_save: ["classifier", "score"] });
  expect(Object.keys(JSON.parse(text) as object)).toEqual(Object.keys(JSON.parse(text) as object).sort());

  const wider = new Toy(4);
  await wider.materialize({ device, seed: 2 });
  await expect(loadAdapter(wider, first, { device })).rejects.toThrow(/does not fit this base: .*lora_A.weight is \[3, 3\], the model wants \[3, 4\]/);
  device.close();
});

it.each([[{ use_dora: true }, "use_dora"], [{ peft_type: "ADALORA" }, "ADALORA"], [{ bias: "all" }, "bias"], [{ r: "8" }, "\"r\" must be a number"], [{ target_modules: [1] }, "target_modules"]])("refuses %j by name", (part, named) => {
  expect(() => parseAdapterConfig({ peft_type: "LORA", bias: "none", ...part })).toThrow(named);
});

it("keeps every key of the golden configs", ({ skip }) => {
  if (!existsSync(golden)) return skip(`no golden adapters at ${golden}; set LOWRANK_FIXTURES`);
  for (const name of ["lora_bert", "lora_gpt2"]) {
    const source = JSON.parse(readFileSync(join(golden, name, "adapter_config.json"), "utf8")) as Record<string, unknown>;
    const written = adapterConfigFile(parseAdapterConfig(source));
    const sorted = (o: Record<string, unknown>): Record<string, unknown> => ({ ...o, target_modules: Array.isArray(o["target_modules"]) ? [...(o["target_modules"] as string[])].sort() : o["target_modules"] });
    expect(sorted(JSON.parse(JSON.stringify(written)) as Record<string, unknown>), name).toMatchObject(sorted(source));
  }
});
