import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import type { ConfigForecast } from "../src/study/dry-run.ts";
import type { StudyOutcome } from "../src/study/outcome.ts";

const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url));

/** What the command says as a process of its own, so that its peak is its own. */
function say(...args: string[]): unknown {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", "tsx", "--conditions", "@lowrank/source", cli, ...args, "--json", "--quiet"],
    { encoding: "utf8" },
  );
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return JSON.parse(stdout);
}

it.each(["lora", "full"])(
  "%s: the peak of a process is within 15 percent of what the dry run and the run itself tell from plans",
  (config) => {
    const model = "model={hidden: 256, layers: 4, heads: 4, intermediate: 1024}";
    const methods = { lora: "{method: lora, target: [query, key, value, dense]}", full: "{method: full}" };
    const args = [
      "run",
      "planted",
      "--out",
      mkdtempSync(join(tmpdir(), "lowrank-rss-")),
      "--device",
      "wasm",
      "--threads",
      "2",
      "--seeds",
      "1",
    ];
    for (const set of [
      model,
      "task.train=128",
      "task.dev=64",
      "task.length=32",
      "train.batchSize=32",
      "train.epochs=1",
      `configs={${config}: ${methods[config as keyof typeof methods]}}`,
    ])
      args.push("--set", set);
    const [forecast] = say(...args, "--dry-run") as ConfigForecast[];
    const { memory } = (say(...args) as StudyOutcome).results[0]!.measures;
    for (const estimate of [forecast!.peakRss!.totalBytes, memory.estimatedPeakRssBytes!]) {
      expect(memory.peakRssBytes / estimate).toBeGreaterThan(0.85);
      expect(memory.peakRssBytes / estimate).toBeLessThan(1.15);
    }
  },
);
