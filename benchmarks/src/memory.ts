/** Peak resident memory of a training process and bytes of a browser bundle: numbers that no clock gives. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { BASE, shapeName, type StepOptions } from "./bert.ts";
import type { Row } from "./suite.ts";

export interface Reading {
  readonly name: string;
  read(): Promise<Row>;
}

const CASES: readonly (readonly [storage: NonNullable<StepOptions["storage"]>, recompute: boolean])[] = [
  ["f32", false],
  ["f16", false],
  ["f16", true],
  ["nf4", true],
];

/** Each case in a process of its own, so that its peak is its own. */
export function memoryReadings(): Reading[] {
  const child = fileURLToPath(new URL("memory-child.ts", import.meta.url));
  const processes = CASES.map(([storage, recompute]): Reading => {
    const name = `memory/bert-lora-${storage}${recompute ? "-recompute" : ""}/${shapeName(BASE)}`;
    return {
      name,
      read: () => {
        const { status, stdout, stderr } = spawnSync(
          process.execPath,
          [...process.execArgv, child, storage, String(recompute)],
          { encoding: "utf8" },
        );
        if (status !== 0) throw new Error(`${name}: ${stderr.trim().split("\n").at(-1) ?? "failed"}`);
        const { measured, estimate } = JSON.parse(stdout) as { measured: number; estimate: number };
        return Promise.resolve({
          ...row(name, "MB", measured / 1e6),
          ratio: measured / estimate,
          against: "the estimate from the plan",
        });
      },
    };
  });
  return [
    ...processes,
    ...(["tensor", "peft"] as const).map((entry): Reading => ({
      name: `size/${entry}/gzip`,
      read: async () => row(`size/${entry}/gzip`, "KB", (await bundleBytes(entry)) / 1e3),
    })),
  ];
}

/** Minified and compressed, as a page would load it, with everything it imports. */
async function bundleBytes(entry: string): Promise<number> {
  const source = fileURLToPath(new URL(`../../packages/${entry}/src/index.ts`, import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [source],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    write: false,
    conditions: ["@lowrank/source"],
    external: ["webgpu", "node:*"],
    logLevel: "silent",
  });
  return gzipSync(outputFiles[0]!.contents).length;
}

function row(name: string, unit: string, value: number): Row {
  return { name, unit, median: value, p25: value, p75: value, n: 1, ratio: null, against: null, ms: 0 };
}
