/** A model that was trained here, opened again from what its run left. */
import {
  fromPretrained,
  loadTokenizer,
  locate,
  type PretrainedModel,
  type Tokenizer,
  type Where,
} from "@lowrank/models";
import { loadAdapter, startsFromOriginal, type Adapter } from "@lowrank/peft";
import type { Device, Files } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import { Base, type BaseStorage } from "../bases/base.ts";
import type { BaseNeeds } from "../bases/needs.ts";
import { baseStorage, precisionPolicy } from "../bases/storage.ts";
import { asInput, InputError } from "../errors.ts";
import { MANIFEST, readManifest, type Manifest } from "../records/manifest.ts";
import type { RowFacts, RowTask } from "../records/row-task.ts";
import { rowTasks } from "../tasks/row-tasks.ts";
import { chatOf } from "../tasks/rows/chat.ts";
import { baseFacts, openBase } from "./open-base.ts";
import { Predictor } from "./predictor.ts";

export interface OpenOptions {
  readonly device: Device;
  /** Where the base is, if it lies elsewhere than when the adapter was trained. */
  readonly base?: Where | undefined;
  /** A place that is written relative to the adapter's folder, as one to open. */
  readonly beside?: ((path: string) => Where) | undefined;
  /** Told of the adapter that was laid on a base, with what it found odd there. */
  readonly onAdapter?: ((model: PretrainedModel, adapter: Adapter) => void) | undefined;
}

/**
 * @param from the folder of an adapter or a checkpoint with `lowrank.json` in it, or its files
 * @throws InputError where there is no such file, or what it names is not there
 */
export async function openPredictor(from: Where, options: OpenOptions): Promise<Predictor> {
  return asInput(async () => {
    const { files } = await locate(from);
    const manifest = await manifestOf(files);
    const task = rowTasks.get(manifest.task);
    const facts: RowFacts = { options: manifest.options, labels: manifest.labels };
    const ownTokenizer = await files.exists("tokenizer.json");
    const { base, tokenizer } = await opened(files, manifest, task, facts, options, ownTokenizer);
    base.model.eval();
    base.precision = precisionPolicy(manifest.precision);
    // a run leaves the template beside its tokenizer
    const source = ownTokenizer ? files : baseOf(manifest, files, options);
    const chat = await chatOf(task, { from: source, tokenizer });
    return new Predictor({ task, use: manifest, base, tokenizer, chat });
  });
}

async function manifestOf(files: Files): Promise<Manifest> {
  if (!(await files.exists(MANIFEST)))
    throw new InputError(
      `${files.where}: there is no ${MANIFEST}, which says what the model answers; give the folder "adapter" or "checkpoint" of a run on rows`,
    );
  const source = `${files.where}/${MANIFEST}`;
  return readManifest(parseJson(await files.text(MANIFEST), source), source);
}

async function opened(
  files: Files,
  manifest: Manifest,
  task: RowTask,
  facts: RowFacts,
  options: OpenOptions,
  ownTokenizer: boolean,
): Promise<{ readonly base: Base; readonly tokenizer: Tokenizer }> {
  const { device } = options;
  if (manifest.base === null) {
    if (options.base !== undefined)
      throw new InputError(`${files.where}: is a model of its own and has no base; leave the base out`);
    const { model, report } = await fromPretrained(files, { device, task: manifest.kind });
    return { base: new Base(model, task.kind, device, report), tokenizer: await loadTokenizer(files) };
  }
  const from = baseOf(manifest, files, options);
  const known = await baseFacts(from, task.kind, {
    ...(ownTokenizer ? { tokens: files } : {}),
    // a base that lies elsewhere is another's to find
    ...(manifest.revision === null || options.base !== undefined ? {} : { at: { revision: manifest.revision } }),
  });
  const needs: BaseNeeds = {
    vocab: known.tokenizer.vocabSize,
    positions: 1,
    labels: 2,
    ...task.head?.(facts),
    ...(manifest.padOfModel ? {} : { padTokenId: manifest.padId }),
  };
  const open = (storage?: BaseStorage): Promise<Base> =>
    openBase(known, task.kind, needs, manifest.initSeed, device, storage);
  const base = await open(baseStorage(manifest, manifest.whole));
  let original: Base | undefined;
  try {
    original = (await startsFromOriginal(files)) ? await open() : undefined;
    const adapter = await loadAdapter(base.model, files, {
      device,
      ...(original === undefined ? {} : { original: original.model }),
    });
    options.onAdapter?.(base.model, adapter);
    return { base, tokenizer: known.tokenizer };
  } catch (error) {
    base.dispose();
    throw error;
  } finally {
    original?.dispose();
  }
}

function baseOf(manifest: Manifest, files: Files, { base, beside }: OpenOptions): Where {
  if (base !== undefined) return base;
  if (manifest.base === null) return files;
  if (!manifest.base.startsWith("../")) return manifest.base;
  if (beside === undefined)
    throw new InputError(`${files.where}: its base lies beside it, in ${manifest.base}; say where that is (base)`);
  return beside(manifest.base);
}
