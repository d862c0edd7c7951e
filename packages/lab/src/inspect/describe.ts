/** An inspection as people read it: plain text, the same on a terminal and in a pipe. */
import type { CheckpointFacts, ModelSizes, TensorFacts, TokenizerFacts } from "@lowrank/models";
import type { AdapterFacts } from "@lowrank/peft";
import { formatBytes, formatCount } from "../text/format.ts";
import { renderColumns, wrapped } from "../text/columns.ts";
import type { Inspection, RunFacts } from "./inspect.ts";
import type { MemoryFacts, StepMemory } from "./memory.ts";
import type { MethodFacts } from "./methods.ts";
import { tensorTable } from "./tensor-table.ts";

export interface DescribeOptions {
  /** Every tensor by itself. */
  readonly tensors: boolean;
  /** Columns of the terminal. */
  readonly width: number;
}

/** Width of the labels at the left. */
const LABEL = 12;
/** Names of a list that are shown. */
const FEW = 4;

export function describe(inspection: Inspection, options: DescribeOptions): string {
  const { where, run, checkpoint, adapter, base, methods, memory } = inspection;
  const { width } = options;
  const lines = (label: string, text: string): string => wrapped(label, text, LABEL, width);
  const blocks = [
    where,
    run === null ? "" : ofRun(run, lines),
    adapter === null ? "" : ofAdapter(adapter, base, lines),
    adapter === null ? "" : tensorTable(adapter.tensors, options),
    checkpoint === null ? "" : ofCheckpoint(checkpoint, lines),
    checkpoint === null ? "" : tensorTable(rowsOf(checkpoint, options.tensors), options),
    methods.length === 0 ? "" : ofMethods(methods),
    memory === null ? "" : ofMemory(memory, checkpoint!, width),
  ];
  return blocks.filter((block) => block !== "").join("\n\n");
}

type Lines = (label: string, text: string) => string;

function joined(rows: readonly string[]): string {
  return rows.filter((row) => row !== "").join("\n");
}

function few(names: readonly string[]): string {
  return `${names.slice(0, FEW).join(", ")}${names.length > FEW ? `, … (${formatCount(names.length)})` : ""}`;
}

function ofRun({ name, study, config, method, task, seed, metrics }: RunFacts, lines: Lines): string {
  return joined([
    lines("run", `${name}: config ${config} (${method}) of study ${study}, task ${task}, seed ${seed}`),
    ...Object.entries(metrics).map(([metric, value]) => lines(metric, value.toFixed(4))),
  ]);
}

const FORMS: Readonly<Record<CheckpointFacts["form"], string>> = {
  safetensors: "safetensors",
  gguf: "GGUF",
  "llama2.c": "llama2.c",
  pickle: "pickle",
  none: "no weights",
};

function ofCheckpoint(facts: CheckpointFacts, lines: Lines): string {
  const { kind, form, files, bytes, tensors, modelType, architectures, quantization, sizes, tokenizer, loads, dtypes } =
    facts;
  const what = { checkpoint: "checkpoint", tensors: "tensors without a config", tokenizer: "tokenizer" }[kind];
  const stored = [
    ...(kind === "tokenizer" ? [] : [FORMS[form]]),
    ...(files.length > 1 ? [`${files.length} files`] : []),
    ...(tensors.length === 0 ? [] : [`${formatCount(tensors.length)} tensors`, formatBytes(bytes)]),
    ...(quantization === null ? [] : [`quantized: ${quantization}`]),
  ];
  const named =
    architectures.length > 0 ? `${architectures.join(", ")} (${modelType ?? "no model_type"})` : (modelType ?? "");
  const name = facts.metadata["general.name"];
  return joined([
    lines("what", [what, ...stored].join(", ")),
    name === undefined ? "" : lines("name", name),
    named === "" ? "" : lines("model", named),
    sizes === null ? "" : lines("sizes", sizesText(sizes)),
    loads.parameters === null ? "" : lines("parameters", parametersText(loads.parameters)),
    dtypes.length === 0 ? "" : lines("dtypes", dtypes.map((d) => `${d.dtype} ${formatBytes(d.bytes)}`).join(", ")),
    tokenizer === null ? "" : lines("tokenizer", tokenizerText(tokenizer)),
    kind === "tokenizer" ? "" : lines("loads", loadsText(facts)),
    loads.fresh.length === 0 || loads.refused !== null
      ? ""
      : lines("drawn", `${few(loads.fresh)}: the file does not have them`),
    loads.missing.length === 0
      ? ""
      : lines("missing", `${formatCount(loads.missing.length)} weights: ${few(loads.missing)}`),
    loads.unexpected.length === 0
      ? ""
      : lines("not used", `${formatCount(loads.unexpected.length)} tensors: ${few(loads.unexpected)}`),
  ]);
}

function sizesText({
  layers,
  hidden,
  intermediate,
  heads,
  keyValueHeads,
  headDim,
  vocabulary,
  positions,
  window,
  rotary,
  tied,
  labels,
}: ModelSizes): string {
  const count = (n: number | null, what: string): string[] =>
    n === null ? [] : [`${formatCount(n)} ${n === 1 ? what : `${what}s`}`];
  const grouped = keyValueHeads !== null && keyValueHeads !== heads ? ` (${keyValueHeads} of keys and values)` : "";
  const scaled =
    rotary === null || rotary.type === "default"
      ? ""
      : ` ${rotary.type}${rotary.factor === null ? "" : ` ×${rotary.factor}`}`;
  return [
    ...count(layers, "layer"),
    ...(hidden === null ? [] : [`${formatCount(hidden)} wide`]),
    ...(intermediate === null ? [] : [`${formatCount(intermediate)} inside`]),
    ...(heads === null ? [] : [`${heads} heads${headDim === null ? "" : ` of ${headDim}`}${grouped}`]),
    ...count(vocabulary, "word"),
    ...count(positions, "position"),
    ...(window === null ? [] : [`window ${formatCount(window)}`]),
    ...(rotary === null ? [] : [`rotary θ ${formatCount(rotary.theta)}${scaled}`]),
    ...(tied === true ? ["output tied to the embedding"] : []),
    ...(labels === null ? [] : [`labels ${few(labels)}`]),
  ].join(", ");
}

function parametersText({ total, embedding, linear }: NonNullable<CheckpointFacts["loads"]["parameters"]>): string {
  return `${formatCount(total)}: ${formatCount(embedding)} in embeddings, ${formatCount(linear)} in linear layers`;
}

function tokenizerText({ model, vocabulary, special, maxLength, chatTemplate, file, refused }: TokenizerFacts): string {
  const named = Object.entries(special).map(([role, token]) => `${role} ${token}`);
  return [
    ...(model === null ? [`${file}${vocabulary === null && refused === null ? " (long, not read)" : ""}`] : [model]),
    ...(vocabulary === null ? [] : [`${formatCount(vocabulary)} tokens`]),
    ...(named.length === 0 ? [] : [named.join(" ")]),
    ...(maxLength === null ? [] : [`up to ${formatCount(maxLength)}`]),
    chatTemplate ? "chat template" : "no chat template",
    ...(refused === null ? [] : [`does not load: ${refused}`]),
  ].join(", ");
}

function loadsText({ loads }: CheckpointFacts): string {
  if (loads.refused !== null) return `no: ${loads.refused}`;
  return `as ${loads.as ?? "?"}${loads.task === null ? "" : `, for ${loads.task}`}`;
}

function ofAdapter(adapter: AdapterFacts, base: string | null, lines: Lines): string {
  const {
    format,
    label,
    rank,
    alpha,
    rankPattern,
    alphaPattern,
    targets,
    modulesToSave,
    bias,
    task,
    modules,
    parameters,
    bytes,
    warnings,
    refused,
  } = adapter;
  const pairs = (pattern: Readonly<Record<string, number>>): string =>
    Object.entries(pattern)
      .map(([key, n]) => `${key} ${n}`)
      .join(", ");
  const ranks = [...new Set(modules.flatMap(({ rank: r }) => (r === null ? [] : [r])))].sort((a, b) => a - b);
  return joined([
    lines(
      "what",
      `${label} adapter of ${format === "peft" ? "PEFT" : "mlx-lm"}, ${formatCount(modules.length)} modules, ${formatCount(parameters)} values, ${formatBytes(bytes)}`,
    ),
    rank === null
      ? ""
      : lines(
          "rank",
          `${rank}${alpha === null ? "" : `, alpha ${alpha}`}${ranks.length > 1 || (ranks.length === 1 && ranks[0] !== rank) ? `; in the file ${few(ranks.map(String))}` : ""}`,
        ),
    Object.keys(rankPattern).length === 0 ? "" : lines("rank by", pairs(rankPattern)),
    Object.keys(alphaPattern).length === 0 ? "" : lines("alpha by", pairs(alphaPattern)),
    targets === null ? "" : lines("targets", typeof targets === "string" ? `/${targets}/` : targets.join(", ")),
    modulesToSave.length === 0 ? "" : lines("trains", `${modulesToSave.join(", ")} whole`),
    bias === "none" ? "" : lines("bias", bias),
    task === null ? "" : lines("task", task),
    adapter.base === null ? "" : lines("base", `${adapter.base}${base === null ? "" : ` (found: ${base})`}`),
    lines(
      "loads",
      refused === null
        ? base === null
          ? "yes, on a base that has these modules"
          : "yes, it fits its base"
        : `no: ${refused}`,
    ),
    ...warnings.slice(0, FEW).map((warning) => lines("warning", warning)),
    warnings.length > FEW ? lines("", `and ${warnings.length - FEW} more warnings`) : "",
  ]);
}

/** Rows of the table: of a quantized checkpoint weights with all that belongs to them, and what belongs to none. */
function rowsOf({ tensors, weights, quantization, loads }: CheckpointFacts, all: boolean): readonly TensorFacts[] {
  if (all || quantization === null || weights.length === 0) return tensors;
  const rest = new Set(loads.unexpected);
  return [...weights, ...tensors.filter(({ name }) => rest.has(name))];
}

function ofMethods(methods: readonly MethodFacts[]): string {
  const rows = methods.map(({ label, refused, modules, trainable, saved }) => [
    label,
    refused === null ? modules.map(({ name, count }) => `${name} ×${count}`).join(", ") : `no: ${refused}`,
    trainable === null ? "" : formatCount(trainable),
    saved.length === 0 ? "" : `and ${saved.join(", ")}`,
  ]);
  return joined([
    "adapters",
    renderColumns(
      [{ title: "method" }, { title: "takes by default" }, { title: "trains", align: "right" }, { title: "" }],
      rows,
    ),
  ]);
}

const KEPT: Readonly<Record<string, string>> = { file: "as in the file", f16: "f16", nf4: "NF4, rest f16" };

function ofMemory(
  { device, addressable, available, length, rank, plannedLayers, ways }: MemoryFacts,
  { sizes }: CheckpointFacts,
  width: number,
): string {
  const cell = ({ peakBytes, fits }: StepMemory): string =>
    `${formatBytes(peakBytes)} ${fits === null ? "" : fits ? "fits" : "too much"}`.trim();
  const steps = ways[0]!.training.map(({ rows }) => ({ title: `LoRA ${rows}×${length}`, align: "right" as const }));
  const table = renderColumns(
    [
      { title: "weights" },
      { title: "hold", align: "right" },
      { title: `forward 1×${length}`, align: "right" },
      ...steps,
    ],
    ways.map(({ kept, weightBytes, forward, training }) => [
      KEPT[kept]!,
      formatBytes(weightBytes),
      cell(forward),
      ...training.map(cell),
    ]),
  );
  const free = available === null ? "" : `, and ${formatBytes(available)} are free here`;
  const counted =
    sizes?.layers === undefined || plannedLayers.includes(sizes.layers ?? 0)
      ? ""
      : `; counted up from ${plannedLayers.join(" and ")} layers`;
  const lora = steps.length > 0 ? `LoRA of rank ${rank} with AdamW` : "it has no loss that could be trained on";
  const note = `peaks of a step on ${device}, which addresses ${formatBytes(addressable)}${free}; ${lora}${counted}`;
  return joined(["memory", table, wrapped("", note, 2, width)]);
}
