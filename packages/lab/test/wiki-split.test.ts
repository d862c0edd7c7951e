/** WikiSplit: a row's three sentences, what is learnt of them, and that what a model writes by itself is what is measured. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadStudy } from "../src/config/load.ts";
import { rougeLOf } from "../src/metrics/rouge-l.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";
import { splitTable } from "../src/tasks/wiki-split.ts";
import { writeCausalFolder } from "./causal-folder.ts";

const root = mkdtempSync(join(tmpdir(), "lowrank-wiki-split-"));
let device: Device;
let gpt2 = "";
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  gpt2 = await writeCausalFolder(join(root, "gpt2"), { positions: 64 });
  mkdirSync(join(root, "wiki-split"));
  const rows = Array.from({ length: 12 }, () => "a b , c d .\ta b . <::::> c d .\n").join("");
  writeFileSync(join(root, "wiki-split", "tune.tsv"), rows);
  writeFileSync(
    join(root, "wiki-split", "validation.tsv"),
    "a b , c d .\ta b . <::::> c d .\nx y , a b .\tx y . <::::> a b .\n",
  );
});
afterAll(() => {
  device.close();
  rmSync(root, { recursive: true, force: true });
});

it("reads a sentence and its two, and refuses other lines", () => {
  const { rows, place } = splitTable("One , two .\tOne . <::::> Two .\n", "a.tsv");
  expect({ ...rows[0] }).toEqual({ prompt: "One , two .\n", completion: "One .\nTwo ." });
  expect(place(0)).toBe("a.tsv:1");
  for (const line of ["One", "One\tTwo", "One\tA <::::> B <::::> C", "One\tA <::::>  ", "One\tA <::::> B\tC"])
    expect(() => splitTable(`ok\ta <::::> b\n${line}\n`, "a.tsv")).toThrow(
      /^a\.tsv:2: expected a sentence, a tab, and two/,
    );
});

async function made(epochs: number): Promise<{ final: Record<string, number>; written: string[] }> {
  const out = mkdtempSync(join(root, "out-"));
  const study = join(out, "study.yaml");
  writeFileSync(
    study,
    `
name: mine
task: { name: wiki-split, maxLength: 48, maxNewTokens: 20 }
base: ${gpt2}
seeds: [1]
train: { epochs: ${epochs}, batchSize: 4, lr: 0.02, evalEvery: end }
configs: { full: { method: full } }
`,
  );
  const environment = { dataFolder: root, filesFolder: root, cacheFolder: join(out, ".cache"), say: () => {} };
  const store = new RunStore(out);
  const runs = await planStudy(await loadStudy(study), store, {
    environment,
    code: "test",
    device: device.name,
    reuse: false,
  });
  const outcome = await runStudy(runs, {
    out,
    device,
    store,
    environment,
    machine: {} as never,
    progress: "quiet",
    say: () => {},
  });
  expect(outcome.failures).toEqual([]);
  const [run] = outcome.results;
  expect(run!.proofs.filter(({ holds }) => !holds)).toEqual([]);
  const lines = readFileSync(join(out, "runs", run!.name, "predictions.jsonl"), "utf8")
    .trim()
    .split("\n");
  return {
    final: run!.final as unknown as Record<string, number>,
    written: lines.map((line) => (JSON.parse(line) as { written: string }).written),
  };
}

it("measures what the model writes: it learns one sentence by heart, and is right of that one", async () => {
  const { final, written } = await made(40);
  expect(written[0]).toBe("a b .\nc d .");
  const mean = (rougeLOf("a b .\nc d .", written[0]!).f1 + rougeLOf("x y .\na b .", written[1]!).f1) / 2;
  expect(final["rouge-l"]).toBeCloseTo(mean, 12);
  expect(final["rouge-l"]).toBeGreaterThanOrEqual(0.5);
  expect(final["perplexity"]).toBeGreaterThan(1);
});
