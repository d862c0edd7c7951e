/**
 * Gemma 3 270M (LOWRANK_GEMMA3 is the file's path), whose hidden states go beyond 100,000 where f16 ends at 65,504: the recorded 512 tokens in every precision and storage,
 * and ten steps of LoRA and AdaLoRA under mixed-f16 through the command. About ten minutes of two cores.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fromPretrained, Gemma3ForCausalLM, type LoadOptions } from "@lowrank/models";
import { planQuantization } from "@lowrank/quant";
import { compile, init, mixedBf16, mixedF16, withPrecision, type PrecisionPolicy } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import type { StudyOutcome } from "../src/study/outcome.ts";

const path = process.env["LOWRANK_GEMMA3"] ?? "";
const shared = resolve(import.meta.dirname, "../../../../shared");
const fixtures = process.env["LOWRANK_FIXTURES"] ?? join(shared, "fixtures");
const reference = resolve(import.meta.dirname, "../../..", fixtures, "gguf/gemma3-270m/model-reference.json");
const text = join(
  resolve(import.meta.dirname, "../../..", process.env["LOWRANK_DATA"] ?? join(shared, "data")),
  "wikitext-2",
  "valid.txt",
);

const STORAGE: Readonly<Record<string, Pick<LoadOptions, "storage">>> = {
  blocks: {},
  f32: { storage: () => () => "f32" },
  nf4: { storage: (model) => planQuantization(model, { format: "nf4", embeddings: "f16" }).storage },
};
const POLICIES: Readonly<Record<string, PrecisionPolicy | undefined>> = {
  f32: undefined,
  "mixed-f16": mixedF16,
  "mixed-bf16": mixedBf16,
};
const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

describe.skipIf(!existsSync(path) || !existsSync(reference))("Gemma 3 270M", { timeout: 3_600_000 }, () => {
  it("has finite losses of the recorded tokens in every precision, and mixed-f16's are those of f32", async () => {
    const { wikitext2 } = JSON.parse(readFileSync(reference, "utf8")) as {
      wikitext2: { ids: number[]; nll: number[] };
    };
    const ids = { data: Int32Array.from(wikitext2.ids.slice(0, 512)), shape: [1, 512], dtype: "i32" } as const;
    const device = await init({ device: "wasm", threads: 2 });
    const told: string[] = [];
    for (const [storage, options] of Object.entries(STORAGE)) {
      const { model } = await fromPretrained(path, Gemma3ForCausalLM, { device, ...options });
      let full: Float64Array | undefined;
      for (const [precision, policy] of Object.entries(POLICIES)) {
        const step = compile(device, ({ inputIds }) => ({
          nll: withPrecision(policy, () => model.forward({ inputIds: inputIds!, labels: inputIds! }).tokenLosses!),
        }));
        const nll = await (await step({ inputIds: ids })).nll.floats();
        const what = `${storage}, ${precision}`;
        expect(nll.every(Number.isFinite), what).toBe(true);
        full ??= nll;
        const apart = Math.abs(mean(nll) - mean(full));
        const most = nll.reduce((worst, v, i) => Math.max(worst, Math.abs(v - full![i]!)), 0);
        told.push(
          `${what}: ${mean(nll).toFixed(5)}, apart ${apart.toExponential(1)}, a token at most ${most.toFixed(4)}`,
        );
        // eighteen blocks of products, each rounded to eleven bits, or to eight
        if (precision === "mixed-f16") expect(apart, what).toBeLessThan(2e-3);
        if (precision === "mixed-bf16") expect(apart, what).toBeLessThan(2e-2);
        const [{ norms }] = [step.info()[0]!.dtypes];
        expect(norms.sums, what).toEqual({ f32: 36 });
      }
      if (storage !== "nf4") expect(Math.abs(mean(full!) - mean(wikitext2.nll.slice(0, 511)))).toBeLessThan(5e-4);
      model.dispose();
    }
    device.close();
    process.stdout.write(`${told.join("\n")}\n`);
  });

  it.skipIf(!existsSync(text))(
    "trains LoRA and AdaLoRA under mixed-f16, and no step is skipped but while the scale is found",
    () => {
      const folder = mkdtempSync(join(tmpdir(), "lowrank-gemma-"));
      try {
        const words = readFileSync(text, "utf8").replaceAll(/\s+/g, " ");
        const row = (i: number): string => `${JSON.stringify({ text: words.slice(180 * i, 180 * (i + 1)) })}\n`;
        writeFileSync(join(folder, "train.jsonl"), Array.from({ length: 10 }, (_, i) => row(i)).join(""));
        writeFileSync(join(folder, "dev.jsonl"), row(10));
        const half = "target: [q_proj, v_proj, down_proj], storage: keep, precision: mixed-f16";
        writeFileSync(
          join(folder, "study.yaml"),
          `name: half
task: { name: causal-lm, train: train.jsonl, validation: dev.jsonl, maxLength: 64 }
base: ${path}
seeds: [1]
train: { epochs: 1, batchSize: 1, lr: 1e-3 }
configs:
  lora: { method: lora, r: 8, alpha: 16, ${half} }
  adalora: { method: adalora, initR: 6, targetR: 4, alpha: 16, tinit: 2, tfinal: 3, deltaT: 1, ${half} }
`,
        );
        const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url));
        const args = [
          "run",
          join(folder, "study.yaml"),
          "--data",
          folder,
          "--out",
          join(folder, "out"),
          "--device",
          "wasm",
        ];
        const { status, stdout, stderr } = spawnSync(
          process.execPath,
          ["--import", "tsx", "--conditions", "@lowrank/source", cli, ...args, "--threads", "2", "--json"],
          { encoding: "utf8", maxBuffer: 2 ** 26 },
        );
        expect(status, stderr).toBe(0);
        const { results } = JSON.parse(stdout) as StudyOutcome;
        expect(results.map(({ config }) => config)).toEqual(["lora", "adalora"]);
        // a step for each text, two where it is longer than a row
        for (const { steps } of results) expect(steps).toBeGreaterThanOrEqual(10);
        for (const { lossScaling, proofs, final, config, name } of results) {
          expect(Number.isFinite(final.loss)).toBe(true);
          expect(proofs.find(({ name }) => name === "dtypes")).toMatchObject({
            holds: true,
            detail: { norms: { sums: { f32: expect.any(Number) as number } } },
          });
          const events = readFileSync(join(folder, "out", "runs", name, "events.jsonl"), "utf8")
            .trim()
            .split("\n");
          const skips = events
            .map((line) => JSON.parse(line) as { event: string; afterStep: number })
            .filter(({ event }) => event === "skipped");
          // the scale begins at 65,536 and is halved until gradients fit, which grow as B leaves zero
          expect(skips.length).toBe(lossScaling!.skipped);
          expect(skips.every(({ afterStep }) => afterStep < 5)).toBe(true);
          process.stdout.write(
            `${config}: loss ${final.loss.toFixed(4)}, skipped ${lossScaling!.skipped}, scale ${lossScaling!.finalScale}\n`,
          );
        }
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});
