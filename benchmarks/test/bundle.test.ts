/** What a browser gets: no test data, no ops that nobody calls, no more bytes than are written down here. */
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

const OPTIONS = {
  stdin: { contents: "", resolveDir: import.meta.dirname, loader: "ts" },
  conditions: ["@lowrank/source"],
  bundle: true,
  minify: true,
  format: "esm",
  platform: "browser",
  external: ["webgpu", "node:*"],
  write: false,
  logLevel: "error",
} as const;

async function bundle(contents: string): Promise<string> {
  const { outputFiles } = await build({
    ...OPTIONS,
    external: [...OPTIONS.external],
    conditions: [...OPTIONS.conditions],
    stdin: { ...OPTIONS.stdin, contents },
  });
  return outputFiles[0]!.text;
}

/** KiB with gzip; raised by who adds something that is worth it. */
const LIMITS = [
  ["everything of tensor", 'export * from "@lowrank/tensor"', 106],
  ["everything of peft", 'export * from "@lowrank/peft"', 73],
  ["a device and the methods of tensors", 'export { init } from "@lowrank/tensor"', 79],
] as const;

it.each(LIMITS)("%s", async (_name, contents, limit) => {
  const text = await bundle(contents);
  expect(gzipSync(text, { level: 9 }).length / 1024).toBeLessThan(limit);
});

it("of the engine hold none of the records that tests read", async () => {
  // a tolerance class, which nothing but a record names
  const word = '"transcendental"';
  expect((await bundle('export * from "@lowrank/tensor/records"')).includes(word)).toBe(true);
  expect((await bundle('export * from "@lowrank/tensor"')).includes(word)).toBe(false);
});

it("leave out ops that nothing names", async () => {
  const [init, all] = [
    await bundle('export { init } from "@lowrank/tensor"'),
    await bundle('export * from "@lowrank/tensor"'),
  ];
  for (const words of ["topk:", "attention: needs q, k, v"])
    expect([words, init.includes(words), all.includes(words)]).toEqual([words, false, true]);
});

it("leave products with ggml's blocks to who reads them", async () => {
  const word = '"row by blocks"';
  expect((await bundle('export * from "@lowrank/tensor"')).includes(word)).toBe(false);
  expect((await bundle('export * from "@lowrank/quant"')).includes(word)).toBe(true);
});

it("leave the hub's client to who names one of its models", async () => {
  // a header of the hub's answers
  const word = "x-linked-etag";
  expect((await bundle('export * from "@lowrank/models/hub"')).includes(word)).toBe(true);
  expect(
    (await bundle('export { BertModel, GPT2LMHeadModel, http, metaModel } from "@lowrank/models"')).includes(word),
  ).toBe(false);
  // a chunk of its own, which is not loaded with the rest
  const { outputFiles } = await build({
    ...OPTIONS,
    external: [...OPTIONS.external],
    conditions: [...OPTIONS.conditions],
    stdin: { ...OPTIONS.stdin, contents: 'export { fromPretrained, loadTokenizer } from "@lowrank/models"' },
    splitting: true,
    outdir: "out",
  });
  const [entry, ...chunks] = outputFiles.map(({ text }) => text);
  const loaded = chunks.filter((text) => !text.includes(word));
  expect([entry!.includes(word), chunks.length - loaded.length]).toEqual([false, 1]);
});
