/**
 * Golden numbers of transformers for configurations that differ from the plain ones: problem types, untied and relabelled heads, other
 * spellings, half precision, packed rows. Every size and name is read from the folder; what is not built is a named skip.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { floatsOf, grad, init, openFile, SafetensorsFile, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  architectures,
  BertForSequenceClassification,
  fromPretrained,
  savePretrained,
  tokenLosses,
  type PretrainedModel,
} from "../src/index.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "families",
);
const present = existsSync(join(folder, "manifest.json"));

interface Case {
  readonly folder: string;
  readonly kind: string;
}
interface Spec {
  readonly architecture: string;
  readonly checkpoint: string;
  readonly inputs?: readonly string[];
  readonly checkpointBefore?: string;
  readonly paddedRows?: string;
  readonly f32Error?: Readonly<Record<string, { readonly maxAbs: number }>>;
  readonly documents?: readonly {
    readonly row: number;
    readonly start: number;
    readonly length: number;
    readonly loss: number;
    readonly counted: number;
  }[];
  readonly unpackedLoss?: number;
  readonly quantization?: string;
  readonly dequantizedSha256?: Readonly<Record<string, string>>;
}

const cases: readonly Case[] = present
  ? (JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: Case[] }).cases
  : [];
const specOf = (name: string): Spec => JSON.parse(readFileSync(join(folder, name, "case.json"), "utf8")) as Spec;
const configOf = (...path: string[]): Record<string, unknown> =>
  JSON.parse(readFileSync(join(...path), "utf8")) as Record<string, unknown>;
const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

async function withData<T>(name: string, body: (file: SafetensorsFile) => Promise<T>): Promise<T> {
  const source = await openFile(join(folder, name, "data.safetensors"));
  try {
    return await body(await SafetensorsFile.open(source));
  } finally {
    await source.close?.();
  }
}

async function goldenOf(file: SafetensorsFile, name: string): Promise<Float64Array> {
  const { data, dtype } = await file.read(name);
  return floatsOf(dtype, data);
}

async function inputsOf(
  file: SafetensorsFile,
  names: readonly string[],
  device: Device,
): Promise<Record<string, Tensor>> {
  const inputs: Record<string, Tensor> = {};
  for (const name of names) {
    const { data, shape, dtype } = await file.read(`in.${name}`);
    const floats = dtype === "f64" || dtype === "f32";
    inputs[camel(name)] = floats
      ? device.tensor(floatsOf(dtype, data), shape, device.defaultFloat)
      : device.tensor(data, shape, "i32");
  }
  return inputs;
}

function outputsOf(out: ReturnType<PretrainedModel["forward"]>): Record<string, Tensor | undefined> {
  const named: Record<string, Tensor | undefined> = { loss: out.loss };
  if ("logits" in out) named["logits"] = out.logits;
  if ("startLogits" in out) Object.assign(named, { start_logits: out.startLogits, end_logits: out.endLogits });
  out.hiddenStates.forEach((h, i) => {
    named[`hidden_states.${i}`] = h;
  });
  out.attentions.forEach((a, i) => {
    named[`attentions.${i}`] = a;
  });
  return named;
}

/** f64: 1e-9 relative. f32: 4 times torch's own error, or 4 units in the last place of the largest value. */
function check(
  got: Float64Array,
  want: Float64Array,
  what: string,
  exact: boolean,
  torchError = 0,
  rows: readonly boolean[] = [],
): void {
  expect(got.length, what).toBe(want.length);
  const each = rows.length === 0 ? 0 : want.length / rows.length;
  let [scale, worst] = [0, 0];
  want.forEach((v, i) => {
    if (each > 0 && !rows[Math.floor(i / each)]!) return;
    scale = Math.max(scale, Math.abs(v));
    worst = Math.max(worst, exact ? Math.abs(v - got[i]!) - 1e-9 * Math.abs(v) : Math.abs(v - got[i]!));
  });
  expect(worst, what).toBeLessThanOrEqual(exact ? 1e-12 : Math.max(4 * torchError, 4 * scale * 2 ** -23));
}

/** Of a weight's numbers, f32, little endian, [out, in]. */
async function digestOf(model: PretrainedModel, name: string): Promise<string> {
  const { data } = await new Map(model.namedWeights()).get(name)!.read();
  return createHash("sha256").update(Float32Array.from(data)).digest("hex");
}

/** Why a case is not for us, or undefined. */
function notBuilt(name: string): string | undefined {
  const { architecture } = specOf(name);
  return Object.hasOwn(architectures, architecture) ? undefined : `${architecture} is not built yet`;
}

describe.each([["reference"], ["wasm"]] as const)("golden families on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
    expect(present).toBe(true);
  });

  it.for(cases.filter((c) => ["model", "packing", "quantized"].includes(c.kind)))(
    "$folder: outputs and gradients",
    async ({ folder: at, kind }, { skip }) => {
      const why = notBuilt(at);
      if (why !== undefined) return skip(why);
      const spec = specOf(at);
      // in f64 the golden model has the numbers that the codes stand for, rounded to f32
      const decoded = kind === "quantized" && name === "reference" ? { storage: () => () => "f32" as const } : {};
      const { model, report } = await fromPretrained(
        join(folder, at, spec.checkpoint),
        architectures[spec.architecture]!,
        { device, ...decoded },
      );
      expect(report.fresh).toEqual([]);
      const [form] = new Set(report.forms.values());
      expect(form).toBe(kind === "quantized" && name !== "reference" ? spec.quantization : undefined);
      await withData(at, async (file) => {
        const inputs = await inputsOf(file, spec.inputs ?? ["input_ids", "position_ids", "labels"], device);
        const out = model.forward(inputs as never) as ReturnType<PretrainedModel["forward"]>;
        const named = outputsOf(out);
        if (file.has("out.token_nll") && "logits" in out)
          named["token_nll"] = tokenLosses(out.logits, inputs["inputIds"]!);
        const real =
          spec.paddedRows !== undefined && inputs["attentionMask"] !== undefined
            ? Array.from(await inputs["attentionMask"].floats(), (v) => v !== 0)
            : [];
        const weights = [...model.namedWeights()].filter(([n]) => file.has(`grad.${n}`));
        const grads =
          weights.length === 0
            ? []
            : grad(
                out.loss!,
                weights.map(([, w]) => w.parameter),
              );
        await device.realize(...Object.values(named).filter((t) => t !== undefined), ...grads);
        for (const key of file.names.filter((n) => n.startsWith("out."))) {
          const short = key.slice("out.".length);
          const mine = named[short];
          if (mine === undefined) continue;
          const perToken = mine.rank >= 2 && mine.shape[0]! * mine.shape[1]! === real.length;
          if (real.length > 0 && (short.startsWith("attentions") || short === "token_nll")) continue;
          check(
            await mine.floats(),
            await goldenOf(file, key),
            short,
            name === "reference",
            spec.f32Error?.[short]?.maxAbs,
            perToken ? real : [],
          );
        }
        for (const [weight, digest] of Object.entries(spec.dequantizedSha256 ?? {}))
          if (name === "reference") expect(await digestOf(model, weight), weight).toBe(digest);
        expect(weights.length).toBe(file.names.filter((n) => n.startsWith("grad.")).length);
        for (const [i, [weight]] of weights.entries()) {
          const [got, want] = [await grads[i]!.floats(), await goldenOf(file, `grad.${weight}`)];
          // torch recorded no f32 error of gradients: 1e-5 of the largest entry is some hundred roundings of a chain this deep
          const scale = want.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
          check(got, want, weight, name === "reference", (1e-6 + 1e-5 * scale) / 4);
        }
      });
      model.dispose();
    },
  );

  it.for(cases.filter((c) => c.kind === "packing"))(
    "$folder: each text of a row is as it is alone, whatever the mask",
    async ({ folder: at }, { skip }) => {
      const why = notBuilt(at);
      if (why !== undefined) return skip(why);
      const spec = specOf(at);
      const { model } = await fromPretrained(join(folder, at, spec.checkpoint), architectures[spec.architecture]!, {
        device,
      });
      await withData(at, async (file) => {
        const inputs = await inputsOf(file, ["input_ids", "position_ids", "labels"], device);
        const { inputIds } = inputs as { inputIds: Tensor };
        const mask = device.tensor(
          Uint8Array.from({ length: inputIds.size }, () => 1),
          inputIds.shape,
          "bool",
        );
        for (const attentionMask of [undefined, mask]) {
          const { loss } = model.forward({
            ...inputs,
            ...(attentionMask === undefined ? {} : { attentionMask }),
          } as never) as { loss: Tensor };
          check(
            Float64Array.of(await loss.item()),
            Float64Array.of(spec.unpackedLoss!),
            "loss",
            name === "reference",
            1e-6,
          );
        }
      });
      model.dispose();
    },
  );
});

it.skipIf(!present)("a base with another number of labels is saved as transformers saves it", async () => {
  const device = await init({ device: "reference" });
  const out = mkdtempSync(join(tmpdir(), "lowrank-relabelled-"));
  const at = "bert-relabelled";
  const { model, report } = await fromPretrained(
    join(folder, at, specOf(at).checkpointBefore!),
    BertForSequenceClassification,
    { device, labels: ["entailment", "neutral", "contradiction"] },
  );
  expect(report).toEqual({
    fresh: ["classifier.weight", "classifier.bias"],
    unused: [],
    forms: new Map(),
  });
  await savePretrained(model, out);
  const { dtype, ...want } = configOf(folder, at, specOf(at).checkpoint, "config.json");
  expect(dtype).toBe("float32");
  expect(configOf(out, "config.json")).toEqual({
    ...want,
    dtype: "float64",
    transformers_version: configOf(folder, at, specOf(at).checkpointBefore!, "config.json")["transformers_version"],
  });
  const again = await fromPretrained(out, BertForSequenceClassification, { device });
  expect(again.report).toEqual({ fresh: [], unused: [], forms: new Map() });
  expect(again.model.config.id2label).toEqual(["entailment", "neutral", "contradiction"]);
  rmSync(out, { recursive: true });
  device.close();
});
