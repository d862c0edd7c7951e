/** Greedy texts of transformers, token for token: each is the likeliest after those before it. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { floatsOf, init, openFile, SafetensorsFile, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  architectureFor,
  architectureOf,
  fromPretrained,
  readConfig,
  directory,
  type PretrainedModel,
} from "../src/index.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "families",
);
const present = existsSync(join(folder, "manifest.json"));
const cases: readonly string[] = present
  ? (
      JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: { folder: string; kind: string }[] }
    ).cases.flatMap(({ folder: name, kind }) => (kind === "model" ? [name] : []))
  : [];
/** How the texts were made, in words, where there are any. */
const made = (name: string): unknown =>
  (JSON.parse(readFileSync(join(folder, name, "case.json"), "utf8")) as { generate?: unknown }).generate;

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

async function numbersOf(name: string): Promise<Map<string, number[]>> {
  const source = await openFile(join(folder, name, "data.safetensors"));
  const file = await SafetensorsFile.open(source);
  const out = new Map<string, number[]>();
  for (const key of file.names.filter((n) => n.startsWith("generate."))) {
    const { data, dtype } = await file.read(key);
    out.set(key, [...floatsOf(dtype, data)]);
  }
  await source.close?.();
  return out;
}

/** The likeliest next token after each of `tokens`. */
async function likeliest(model: PretrainedModel, tokens: readonly number[]): Promise<number[]> {
  const { logits } = model.forward({ inputIds: device.tensor(tokens, [1, tokens.length], "i32") } as never);
  const values = await logits!.floats();
  const vocab = values.length / tokens.length;
  return tokens.map((_, i) => {
    const row = values.subarray(i * vocab, (i + 1) * vocab);
    return row.indexOf(row.reduce((m, v) => Math.max(m, v), -Infinity));
  });
}

it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
  expect(present).toBe(true);
});

it.for(cases.filter((name) => made(name) !== undefined))("%s", async (name) => {
  const where = join(folder, name, "checkpoint");
  const config = await readConfig(directory(where));
  const { model } = await fromPretrained(where, architectureOf(architectureFor(config)), { device });
  const numbers = await numbersOf(name);
  const prompt = numbers.get("generate.prompt")!.length;
  // where the base of rotary angles follows the length, a text is made of texts of each length
  const growing = numbers.get("generate.tokens_no_cache");
  const want = growing ?? numbers.get("generate.tokens")!;
  if (growing === undefined)
    expect((await likeliest(model, want.slice(0, -1))).slice(prompt - 1)).toEqual(want.slice(prompt));
  else
    for (let length = prompt; length < want.length; length++)
      expect((await likeliest(model, want.slice(0, length))).at(-1), `token ${length}`).toBe(want[length]);
  model.dispose();
});
