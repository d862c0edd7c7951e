/** Files that were opened are closed again, whatever was wrong with them: counted at the store, and by the system where it can tell. */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { quantize } from "@lowrank/quant";
import { directory, init, readTensor, serialize, type Device, type Files } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  fromPretrained,
  inspectCheckpoint,
  loadTokenizer,
  metaModel,
  openCheckpoint,
  savePretrained,
} from "../src/index.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
let folder: string;
/** Folders that are whole: one file, shards, four bits. */
const whole: string[] = [];
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-handles-"));
  const model = metaModel(
    "LlamaForCausalLM",
    SMALL["LlamaForCausalLM"]!({ vocab: 11, heads: 2, width: 4, layers: 1, positions: 6 }),
  );
  await model.materialize({ device, seed: 1 });
  for (const [name, options] of [
    ["one", {}],
    ["shards", { maxShardSize: 1000 }],
  ] as const) {
    await savePretrained(model, join(folder, name), options);
    whole.push(join(folder, name));
  }
  await quantize(model);
  await savePretrained(model, join(folder, "four"));
  whole.push(join(folder, "four"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A folder that counts what is open. */
function counted(path: string): { files: Files; open: () => number; most: () => number } {
  let [open, most] = [0, 0];
  const files = directory(path);
  return {
    files: {
      ...files,
      async open(name) {
        const file = await files.open(name);
        most = Math.max(most, ++open);
        let closed = false;
        const close = async (): Promise<void> => {
          if (!closed) open--;
          closed = true;
          await file.close?.();
        };
        return { ...file, close };
      },
    },
    open: () => open,
    most: () => most,
  };
}

/** Files below the test's folder that this process has open, where the system can tell. */
function openBelow(): string[] {
  if (!existsSync("/proc/self/fd")) return [];
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) ? [path] : [];
    } catch {
      // the one that listed them
      return [];
    }
  });
}

async function attempt(files: Files): Promise<void> {
  const tries = [
    () => fromPretrained(files, { device }),
    () => inspectCheckpoint(files, {}),
    () => loadTokenizer(files),
    async () => {
      const checkpoint = await openCheckpoint(files);
      try {
        for (const name of checkpoint.weights.names) await readTensor(checkpoint.weights, name);
      } finally {
        await checkpoint.close();
      }
    },
  ];
  for (const one of tries) await one().catch(() => undefined);
}

/** One byte of a file is another, or the file ends early. */
const damage = fc.record({
  of: fc.nat(),
  file: fc.nat(),
  // headers are at the beginning
  at: fc.oneof(fc.nat({ max: 300 }), fc.nat()),
  byte: fc.integer({ min: 1, max: 255 }),
  cut: fc.boolean(),
});

test.prop([fc.array(damage, { maxLength: 2 })], { numRuns: 60 })(
  "a checkpoint that is damaged anywhere leaves nothing open",
  async (damages) => {
    const from = whole[(damages[0]?.of ?? 0) % whole.length]!;
    const path = join(folder, "damaged");
    rmSync(path, { recursive: true, force: true });
    cpSync(from, path, { recursive: true });
    const names = readdirSync(path).sort();
    for (const { file, at, byte, cut } of damages) {
      const name = join(path, names[file % names.length]!);
      const bytes = Uint8Array.from(readFileSync(name));
      const place = at % Math.max(1, bytes.length);
      if (cut) writeFileSync(name, bytes.subarray(0, place));
      else if (bytes.length > 0) {
        bytes[place]! ^= byte;
        writeFileSync(name, bytes);
      }
    }
    const { files, open, most } = counted(path);
    await attempt(files);
    expect(open()).toBe(0);
    expect(openBelow()).toEqual([]);
    if (damages.length === 0) expect(most()).toBeGreaterThan(0);
  },
);

it("a checkpoint without a model: names, numbers, and one close for all shards", async () => {
  const [one, shards] = await Promise.all(whole.slice(0, 2).map((path) => openCheckpoint(path)));
  expect([...shards!.weights.names].sort()).toEqual([...one!.weights.names].sort());
  for (const name of one!.weights.names)
    expect(await readTensor(shards!.weights, name)).toEqual(await readTensor(one!.weights, name));
  expect(one!.config).toMatchObject({ model_type: "llama" });
  expect(openBelow().length > 0 || !existsSync("/proc/self/fd")).toBe(true);
  for (const checkpoint of [one!, shards!]) await checkpoint.close();
  expect(openBelow()).toEqual([]);
  await expect(openCheckpoint(join(folder, "nothing"))).rejects.toThrow("there is no config.json");
});

it("a tensor that cannot be read is named with the file that it is in", async () => {
  const path = join(folder, "odd");
  cpSync(whole[0]!, path, { recursive: true });
  const file = join(path, "model.safetensors");
  const odd = { a: { dtype: "i8", shape: [2], data: Int8Array.of(1, 2) } } as const;
  writeFileSync(file, serialize(odd));
  const { weights, close } = await openCheckpoint(path);
  await expect(readTensor(weights, "a")).rejects.toThrow(
    `${file}: tensor "a" is "I8", which cannot be read here; convert it to one of`,
  );
  await expect(readTensor(weights, "b")).rejects.toThrow(`${file}: there is no tensor "b"; there are a`);
  await close();
});
