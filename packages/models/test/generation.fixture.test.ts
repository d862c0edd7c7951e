/** Texts of transformers token for token, with a cache and without, and the distributions that its samplers leave. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { floatsOf, init, openFile, SafetensorsFile, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { candidates, penalized, probabilities } from "../src/generation/sampling.ts";
import { CachedSteps, causalModel, WholeSteps } from "../src/generation/steps.ts";
import { fromPretrained, TextGenerator, type PretrainedModel } from "../src/index.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "families",
);
const present = existsSync(join(folder, "manifest.json"));
const cases: readonly { folder: string; kind: string }[] = present
  ? (JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: { folder: string; kind: string }[] })
      .cases
  : [];

interface Effective {
  readonly temperature: number;
  readonly top_k: number;
  readonly top_p: number;
  readonly min_p: number | null;
  readonly repetition_penalty: number;
}
interface Case {
  readonly generate?: unknown;
  readonly newTokens: number;
  readonly padTokenId: number;
  readonly eosTokenId: number;
  readonly eosTokenIds: readonly number[];
  readonly processed: Readonly<Record<string, { readonly effective: Effective; readonly kept: readonly number[] }>>;
}
const caseOf = (name: string): Case => JSON.parse(readFileSync(join(folder, name, "case.json"), "utf8")) as Case;
const named = (kind: string): string[] => cases.filter((c) => c.kind === kind).map((c) => c.folder);

let device: Device;
let exact: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  exact = await init({ device: "reference" });
});
afterAll(() => {
  device.close();
  exact.close();
});

interface Numbers {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

async function numbersOf(name: string): Promise<(key: string) => Numbers | undefined> {
  const source = await openFile(join(folder, name, "data.safetensors"));
  const file = await SafetensorsFile.open(source);
  const out = new Map<string, Numbers>();
  for (const key of file.names.filter((n) => /^(generate|processed|prefix|in)\./.test(n))) {
    const { data, dtype, shape } = await file.read(key);
    out.set(key, { shape, values: [...floatsOf(dtype, data)] });
  }
  await source.close?.();
  return (key) => out.get(key);
}

const load = async (name: string, on: Device): Promise<PretrainedModel> =>
  (await fromPretrained(join(folder, name, "checkpoint"), { device: on, task: "CAUSAL_LM" })).model;

const rowsOf = ({ shape, values }: Numbers): number[][] =>
  Array.from({ length: shape[0]! }, (_, i) =>
    values.slice((i * values.length) / shape[0]!, ((i + 1) * values.length) / shape[0]!),
  );

/** What was written behind the prompts, all rows as long as the longest. */
async function written(
  model: PretrainedModel,
  prompts: readonly number[][],
  options: Parameters<TextGenerator["tokens"]>[1],
  pad = 0,
): Promise<number[][]> {
  const generator = new TextGenerator(model);
  const rows = prompts.map((): number[] => []);
  let steps = 0;
  for await (const step of generator.tokens(prompts, options)) {
    for (const { row, id } of step) rows[row]!.push(id);
    steps++;
  }
  generator.dispose();
  return rows.map((row) => [...row, ...new Array<number>(steps - row.length).fill(pad)]);
}

it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
  expect(present).toBe(true);
});

it.for(named("model").filter((name) => caseOf(name).generate !== undefined))("greedy: %s", async (name) => {
  const [numbers, model] = [await numbersOf(name), await load(name, device)];
  const prompt = numbers("generate.prompt")!.values;
  const [tokens, alone] = [numbers("generate.tokens")!.values, numbers("generate.tokens_no_cache")?.values];
  const options = { maxNewTokens: tokens.length - prompt.length };
  expect(await written(model, [[...prompt]], options)).toEqual([tokens.slice(prompt.length)]);
  // where the base of rotary angles follows the length, keys that are kept are others
  if (alone !== undefined)
    expect(await written(model, [[...prompt]], { ...options, cache: false })).toEqual([alone.slice(prompt.length)]);
  model.dispose();
});

describe.each(named("generation"))("%s", (name) => {
  const facts = caseOf(name);
  let numbers: (key: string) => Numbers | undefined;
  beforeAll(async () => {
    numbers = await numbersOf(name);
  });

  /** Rows without their padding. */
  const texts = (part: string): number[][] => {
    const [ids, mask] = [rowsOf(numbers(`${part}.input_ids`)!), rowsOf(numbers(`${part}.attention_mask`)!)];
    return ids.map((row, i) => row.filter((_, at) => mask[i]![at] === 1));
  };

  it("greedy texts of a padded batch, with no end, one, and several", async () => {
    const model = await load(name, device);
    const length = numbers("in.input_ids")!.shape[1]!;
    const { newTokens: maxNewTokens, padTokenId, eosTokenId, eosTokenIds } = facts;
    for (const [key, eos] of [
      ["generate.tokens", []],
      ["generate.tokens_eos", eosTokenId],
      ["generate.tokens_eos_list", eosTokenIds],
    ] as const) {
      const want = rowsOf(numbers(key)!).map((row) => row.slice(length));
      for (const cache of [true, false])
        expect(await written(model, texts("in"), { maxNewTokens, eos, cache }, padTokenId), key).toEqual(want);
    }
    // one alone is what it is beside others
    const want = rowsOf(numbers("generate.tokens")!).map((row) => row.slice(length));
    for (const [i, text] of texts("in").entries())
      expect(await written(model, [text], { maxNewTokens })).toEqual([want[i]]);
    model.dispose();
  });

  it("scores of every step", async () => {
    const model = causalModel("test", await load(name, exact));
    const want = numbers("generate.logits")!;
    const [rows, steps, words] = want.shape as [number, number, number];
    const length = numbers("in.input_ids")!.shape[1]!;
    const tokens = rowsOf(numbers("generate.tokens")!);
    for (const run of [new CachedSteps(model), new WholeSteps(model)]) {
      let got = await run.begin(texts("in"), length + steps);
      for (let step = 0; step < steps; step++) {
        if (step > 0) got = await run.next(tokens.map((row) => row[length + step - 1]!));
        for (let row = 0; row < rows; row++)
          for (let word = 0; word < words; word++) {
            const v = want.values[(row * steps + step) * words + word]!;
            expect(Math.abs(Number(got[row * words + word]) - v)).toBeLessThanOrEqual(1e-9 * Math.abs(v) + 1e-12);
          }
      }
      run.dispose();
    }
    model.dispose();
  });

  it.each(Object.keys(facts.processed))("%s leaves the distribution of transformers", (option) => {
    const { effective, kept } = facts.processed[option]!;
    const raw = rowsOf(numbers("prefix.logits")!);
    const [wantScores, want] = [
      rowsOf(numbers(`processed.${option}.logits`)!),
      rowsOf(numbers(`processed.${option}.probs`)!),
    ];
    const prompts = texts("prefix");
    const longest = numbers("prefix.input_ids")!.shape[1]!;
    for (const [row, logits] of raw.entries()) {
      // transformers counts padding; what does not is the same but for the padding's own word
      const padded = prompts[row]!.length < longest ? [facts.padTokenId] : [];
      const scores = penalized(logits, new Set([...prompts[row]!, ...padded]), effective.repetition_penalty);
      const left = candidates(scores, {
        temperature: effective.temperature,
        topK: effective.top_k,
        topP: effective.top_p,
        minP: effective.min_p ?? 0,
      });
      expect(left.ids.length).toBe(kept[row]);
      const p = probabilities(left.scores);
      const [allScores, all] = [
        new Array<number>(logits.length).fill(-Infinity),
        new Array<number>(logits.length).fill(0),
      ];
      left.ids.forEach((id, i) => ([allScores[id], all[id]] = [left.scores[i]!, p[i]!]));
      const close = (a: number, b: number): void => {
        if (a !== b) expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-9 * Math.abs(b) + 1e-12);
      };
      want[row]!.forEach((v, i) => close(all[i]!, v));
      wantScores[row]!.forEach((v, i) => close(allScores[i]!, v));
    }
  });
});
