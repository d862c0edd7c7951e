/** Files that bitsandbytes' own Linear4bit wrote, loaded into a model and saved from it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Linear, Module } from "@lowrank/nn";
import { fromBytes, init, SafetensorsFile } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { loadQuantized, writeQuantizedModel, type FourBitWeight } from "../src/index.ts";

const folder = join(
  process.env["LOWRANK_FIXTURES"] ?? join(import.meta.dirname, "../../../../shared/fixtures"),
  "peft",
);

class Net extends Module {
  readonly lin: Linear = new Linear(64, 8);
}

describe.skipIf(!existsSync(folder))("Linear4bit", () => {
  it.each([
    ["False", "wasm"],
    ["True", "wasm"],
    ["False", "reference"],
    ["True", "reference"],
  ] as const)(
    "nested %s goes through a model on %s and comes back as the same file, byte for byte",
    async (nested, name) => {
      const bytes = new Uint8Array(readFileSync(join(folder, `linear4bit_nested${nested}.safetensors`)));
      const file = await SafetensorsFile.open(fromBytes(bytes));
      const device = await init({ device: name, threads: 1 });
      const net = new Net();
      expect(await loadQuantized(net, file, device)).toEqual(["lin.weight"]);
      await net.materialize({ device, values: file, dtype: "f32" });
      expect((net.lin.weight.form as FourBitWeight).doubleQuantized).toBe(nested === "True");
      const parts: Uint8Array[] = [];
      await writeQuantizedModel(net, (part) => {
        parts.push(part.slice());
      });
      expect(Buffer.compare(Buffer.concat(parts), Buffer.from(bytes))).toBe(0);
      device.close();
    },
  );
});
