/**
 * A study made to fit the memory there is. Its batches stay what it says; how many rows are computed at a time, and whether layers are computed
 * again, is chosen from plans, once, for all configs, and becomes part of the configs: identities, plans and runs know nothing else of it.
 */
import type { Device } from "@lowrank/tensor";
import { planOf, shapeModel } from "../bases/plan.ts";
import { shapeOf } from "../bases/shape.ts";
import { resolveConfig, resolvedConfigs } from "../config/cells.ts";
import type { MethodConfig, ResolvedConfig, Storage, Study } from "../config/study.ts";
import { InputError } from "../errors.ts";
import type { TaskData } from "../records/task.ts";
import { startMemory, type StartMemory } from "../study/peak-rss.ts";
import { taskOf } from "../tasks/prepare.ts";
import { formatMemory } from "../text/format.ts";
import type { MemoryBudget } from "./budget.ts";
import { StudyPeaks, roughUpper, type StudyPeak } from "./peak.ts";
import { fastest, inWay, ownRows, rowsToTry, timeOf, type Way } from "./ways.ts";

/** What an estimate may be off: V8 collects when it sees fit, so one run differs from the next by about this. */
const MARGIN = 1.1;

/** A way that fits, and what is said of it. */
export interface Fitted {
  /** Null: batches as the study has them. */
  readonly way: Way | null;
  readonly peakBytes: number | null;
  /** One line for people; nothing where nothing had to be planned. */
  readonly text: string | undefined;
}

/** The study whose configs compute in that way. */
export function studyInWay(study: Study, way: Way | null): Study {
  if (way === null) return study;
  const configs = Object.entries(study.configs).map(([name, config]): [string, MethodConfig] => {
    const { train, method } = inWay(resolveConfig(study, name), way);
    const { microBatch } = train;
    return [
      name,
      {
        ...config,
        gradientCheckpointing: method.gradientCheckpointing,
        train: { ...config.train, ...(microBatch === undefined ? {} : { microBatch }) },
      },
    ];
  });
  return { ...study, configs: Object.fromEntries(configs) };
}

/** Whether it needs no planning to see that the study fits. */
export async function plainlyFits(study: Study, budget: MemoryBudget, device: Pick<Device, "name">): Promise<boolean> {
  for (const config of resolvedConfigs(study)) {
    const task = taskOf(config);
    const least = task.least(config.task);
    const model = shapeModel(await planOf(config, task.kind, least));
    const { total, linears } = shapeOf(model, task.kind);
    const { numHiddenLayers: layers, numAttentionHeads: heads, vocabSize, maxPositionEmbeddings } = model.config;
    const length = Math.min(maxPositionEmbeddings, LONGEST);
    const sizes = {
      total,
      widths: linears.reduce((sum, { in: inner, out }) => sum + inner + out, 0),
      layers,
      heads,
      vocabulary: task.kind === "CAUSAL_LM" || task.kind === "MASKED_LM" ? vocabSize : 0,
    };
    if (roughUpper(sizes, config.train.batchSize * length, length, device) > budget.bytes) return false;
  }
  return true;
}

/** Texts beyond this are planned whatever the model is. */
const LONGEST = 512;

export interface FitContext {
  readonly device: Device;
  readonly budget: MemoryBudget;
  /** Of the study's task, which is one. */
  readonly data: TaskData;
  /** What the process has taken without any run. Default: what it has taken now. */
  readonly start?: StartMemory | undefined;
  /** Models of up to so many layers are planned whole. */
  readonly whole?: number;
}

/**
 * The fastest way in which every config fits.
 * @throws InputError saying what would fit, where nothing does
 */
export async function fitStudy(
  study: Study,
  { device, budget, data, whole, start = startMemory(device) }: FitContext,
): Promise<Fitted> {
  const configs = resolvedConfigs(study);
  const context = { device, data, ...(whole === undefined ? {} : { whole }) };
  const peaks = new StudyPeaks(configs, context, start);
  const within = ({ bytes, addressable }: StudyPeak): boolean => addressable && MARGIN * bytes <= budget.bytes;
  const rows = rowsToTry(configs);
  const length = data.train.lengths.reduce((most, n) => Math.max(most, n), 1);
  const found = await fastest(
    rows,
    (way) => timeOf(way, length, device.name),
    async (way) => within(await peaks.of(way)),
  );
  const there = `memory: ${formatMemory(budget.bytes)} ${budget.said ? "(--memory)" : "are free"}`;
  if (found === undefined) {
    const least = await peaks.of({ rows: 1, recompute: true });
    throw new InputError(
      `${there}: nothing fits; ${await whatWould(configs, least, budget, { context, start, within })}`,
    );
  }
  const changes = found.recompute || found.rows < rows[0]!;
  const { bytes } = await peaks.of(found);
  const batch = Math.max(...configs.map(({ train }) => train.batchSize));
  const how = waysInWords(found, batch, configs);
  const instead = changes
    ? `; as the study says it would be ${formatMemory((await peaks.of({ rows: rows[0]!, recompute: false })).bytes)}`
    : "";
  return {
    way: changes ? found : null,
    peakBytes: Math.round(bytes),
    text: `${there}: ${how}, a planned peak of ${formatMemory(bytes)}${instead}`,
  };
}

function waysInWords({ rows, recompute }: Way, batch: number, configs: readonly ResolvedConfig[]): string {
  const again = recompute || configs.every(({ method }) => method.gradientCheckpointing);
  const at =
    rows >= Math.max(...configs.map(ownRows)) && rows >= batch
      ? "at once"
      : `${rows} at a time, their gradients added up`;
  return `batches of ${batch} rows are computed ${at}${again ? ", layers again in the backward pass" : ""}`;
}

/** What a person can change so that it fits. */
async function whatWould(
  configs: readonly ResolvedConfig[],
  least: StudyPeak,
  budget: MemoryBudget,
  {
    context,
    start,
    within,
  }: {
    context: ConstructorParameters<typeof StudyPeaks>[1];
    start: ConstructorParameters<typeof StudyPeaks>[2];
    within: (peak: StudyPeak) => boolean;
  },
): Promise<string> {
  const row = `a row at a time with layers computed again takes ${formatMemory(MARGIN * least.bytes)}`;
  const would: string[] = [];
  for (const storage of NARROWER) {
    if (configs.every(({ method }) => method.storage === storage)) break;
    const narrow = configs.map((config) =>
      WIDE.includes(config.method.storage) ? withStorage(config, storage) : config,
    );
    const peak = await new StudyPeaks(narrow, context, start).of({ rows: 1, recompute: true });
    if (within(peak)) would.push(`storage: ${storage} in ${formatMemory(MARGIN * peak.bytes)}`);
  }
  const more = least.addressable ? `--memory ${formatMemory(MARGIN * least.bytes).replace(" ", "")}` : "another device";
  return `${row}; ${would.length === 0 ? `it needs ${budget.said ? more : `${more} on a machine that has it`}, a smaller base or shorter texts` : `${would.join(" or ")} would fit`}`;
}

const NARROWER: readonly Storage[] = ["f16", "nf4"];
const WIDE: readonly Storage[] = ["f32", "keep"];

function withStorage(config: ResolvedConfig, storage: Storage): ResolvedConfig {
  return { ...config, method: { ...config.method, storage } };
}
