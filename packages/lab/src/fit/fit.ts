/** A training in code: the same tasks, methods and trainer as studies have, without a file. */
import type { Where } from "@lowrank/models";
import { resizeAdapter } from "@lowrank/peft";
import { init, type Device } from "@lowrank/tensor";
import type { Base, BaseStorage } from "../bases/base.ts";
import type { BaseNeeds } from "../bases/needs.ts";
import { baseStorage } from "../bases/storage.ts";
import { predictionBatches, PREDICTION_MULTIPLE } from "../data/prediction-batches.ts";
import type { Table } from "../data/table/table.ts";
import { InputError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import { metrics as known } from "../metrics/registry.ts";
import { deriveSeed } from "../random/seeds.ts";
import { USUAL_LENGTH, type RowTask } from "../records/row-task.ts";
import type { TaskData } from "../records/task.ts";
import { rowTasks } from "../tasks/row-tasks.ts";
import { rowLosses } from "../tasks/rows/losses.ts";
import { chatOf } from "../tasks/rows/chat.ts";
import { padIdOf } from "../tasks/rows/padding.ts";
import { prepareRows, taskUse, type Fraction } from "../tasks/rows/prepare.ts";
import { RowScorer } from "../tasks/rows/scorer.ts";
import { SILENT } from "../text/progress.ts";
import { adaptBase } from "../train/adapt.ts";
import { keepWeights } from "../train/keep.ts";
import { train, type TrainSurroundings } from "../train/train.ts";
import { totalSteps } from "../train/rate.ts";
import { Channel } from "./channel.ts";
import { tableFrom, type RowData } from "./data.ts";
import { Fitted } from "./fitted.ts";
import { baseFacts, openBase } from "./open-base.ts";
import { checkFitOptions, configOf, type FitOptions, type FitProgress } from "./options.ts";

/**
 * Fine-tunes a model on rows and returns it, with an adapter and what it is worth on rows that were held out.
 * @param model a folder, a URL, a model of the hub or files, as `fromPretrained` takes it
 * @param data rows, a table, or a `File`
 * @throws InputError for what is wrong with rows or options; RunError where the loss is no number
 */
export async function fit(model: Where, data: RowData, options: FitOptions = {}): Promise<Fitted> {
  return run(model, data, options, (progress) => options.onProgress?.(progress));
}

/** As `fit`, told step by step: `for await (const progress of fitSteps(…))`. What it returns is the model; breaking off ends the training. */
export async function* fitSteps(
  model: Where,
  data: RowData,
  options: FitOptions = {},
): AsyncGenerator<FitProgress, Fitted, void> {
  const channel = new Channel<FitProgress>();
  let broken = false;
  const fitted = run(model, data, options, (progress) => {
    if (broken) throw new BrokenOff();
    options.onProgress?.(progress);
    channel.push(progress);
  }).finally(() => channel.end());
  // whoever reads gets what went wrong at the end
  fitted.catch(() => {});
  try {
    yield* channel;
  } finally {
    broken = true;
  }
  return fitted;
}

class BrokenOff extends InputError {
  constructor() {
    super("the training was broken off");
  }
}

async function run(
  from: Where,
  data: RowData,
  options: FitOptions,
  tell: (progress: FitProgress) => void,
): Promise<Fitted> {
  checkFitOptions(options);
  const task = rowTasks.get(options.task ?? "text-classification");
  const device = options.device ?? (await init());
  const close = (): void => {
    if (options.device === undefined) device.close();
  };
  try {
    return await trained(from, data, options, { task, device, close, tell });
  } catch (error) {
    close();
    throw error;
  }
}

interface Context {
  readonly task: RowTask;
  readonly device: Device;
  readonly close: () => void;
  readonly tell: (progress: FitProgress) => void;
}

async function trained(from: Where, rows: RowData, options: FitOptions, context: Context): Promise<Fitted> {
  const { task, device, tell, close } = context;
  const { seed = 0, maxLength = task.maxLength ?? USUAL_LENGTH, say = () => {} } = options;
  const facts = await baseFacts(from, task.kind, {
    tokens: options.tokenizer,
    ...(options.revision === undefined ? {} : { at: { revision: options.revision } }),
  });
  const config = configOf(task, options, facts.head);
  const padding = padIdOf(facts.tokenizer, facts.config);
  const chat = await chatOf(task, {
    from: options.tokenizer ?? from,
    at: facts.at,
    tokenizer: facts.tokenizer,
    given: options.chatTemplate,
  });
  const { name: _, ...own } = config.task;
  const prepared = prepareRows(
    task,
    { train: await tableFrom(rows, "rows"), validation: await validationOf(options.validation) },
    { options: own, columns: options.columns, maxLength, say },
    { tokenizer: facts.tokenizer, padId: padding.id, chat },
  );
  const needs: BaseNeeds = {
    vocab: facts.tokenizer.vocabSize,
    positions: maxLength,
    labels: 2,
    ...task.head?.(prepared.facts),
    ...(padding.ofModel ? {} : { padTokenId: padding.id }),
  };
  const method = methods.get(config.method.method);
  const base = (initSeed: number, storage?: BaseStorage): Promise<Base> =>
    openBase(facts, task.kind, needs, initSeed, device, storage);
  const taskData: TaskData = {
    train: prepared.train,
    dev: prepared.dev,
    multiple: PREDICTION_MULTIPLE,
    ...(task.rate === undefined ? {} : { rate: task.rate }),
    base,
    scorer: () => new RowScorer(task, prepared.devRows, prepared.dev, prepared.facts),
    devBatches: () => predictionBatches(prepared.dev),
  };
  const opened = await base(deriveSeed(seed, "init"), baseStorage(config.method, method.whole(config.method)));
  try {
    const steps = totalSteps(config, taskData);
    method.checkSteps?.(config.method, steps);
    const losses = rowLosses(task);
    const adapted = await adaptBase(opened, method, config.method, {
      seed,
      totalSteps: steps,
      data: taskData,
      task: losses,
    });
    const outcome = await train(
      { id: "", cell: "", name: "fit", study: "fit", config, seed },
      {
        task: losses,
        data: taskData,
        metrics: (options.metrics ?? task.metrics).map((name) => known.get(name)),
        method,
      },
      adapted,
      surroundings(device, steps, tell),
    );
    const { kept } = await keepWeights(outcome);
    // ranks that were not kept go for good, as in what a run leaves
    if (outcome.allocation !== undefined)
      await resizeAdapter(
        adapted.adapter!,
        new Map(outcome.allocation.modules.map(({ module, mask }) => [module, mask])),
      );
    for (const warning of kept.scores.scored.warnings ?? []) say(`warning: ${warning}`);
    // what it is asked next it is to answer
    opened.model.eval();
    return new Fitted({
      task,
      use: taskUse(task, { ...prepared.facts, columns: prepared.columns, maxLength, padding }),
      base: opened,
      tokenizer: facts.tokenizer,
      chat,
      adapter: adapted.adapter,
      metrics: kept.evaluation,
      ...(outcome.start === undefined ? {} : { start: outcome.start }),
      method: config.method,
      whole: method.whole(config.method),
      initSeed: deriveSeed(seed, "init"),
      close,
    });
  } catch (error) {
    opened.dispose();
    throw error;
  }
}

/** A training writes nothing here, and tells one listener. */
function surroundings(device: Device, steps: number, tell: Context["tell"]): TrainSurroundings {
  const nothing = (): void => {};
  return {
    device,
    folder: { append: nothing, event: nothing, has: () => false, replace: nothing },
    started: performance.now(),
    progress: SILENT,
    sinks: {
      start: nothing,
      artifact: nothing,
      finish: nothing,
      scalar(step, values) {
        const { loss, lr } = values;
        if (loss === undefined) tell({ kind: "evaluation", step, evaluation: values });
        else tell({ kind: "step", step, steps, loss, lr: lr! });
      },
    },
  };
}

async function validationOf(said: FitOptions["validation"]): Promise<Table | Fraction> {
  if (said === undefined || "fraction" in said || "seed" in said)
    return { fraction: 0.1, seed: 0, ...said } as Fraction;
  return tableFrom(said as RowData, "validation");
}
