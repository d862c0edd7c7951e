/** What a browser gets: no test data, no ops that nobody calls, no more bytes than are written down here. */
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

async function bundle(contents: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: import.meta.dirname, loader: "ts" },
    conditions: ["@lowrank/source"],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    external: ["webgpu", "node:*"],
    write: false,
    logLevel: "error",
  });
  return outputFiles[0]!.text;
}

/** KiB with gzip; raised by who adds something that is worth it. */
const LIMITS = [
  ["everything of tensor", 'export * from "@lowrank/tensor"', 96],
  ["everything of peft", 'export * from "@lowrank/peft"', 58],
  ["a device and the methods of tensors", 'export { init } from "@lowrank/tensor"', 82],
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
