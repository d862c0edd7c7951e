/** A model after its training. */
import { savePretrained } from "@lowrank/models";
import { saveAdapter, type Adapter } from "@lowrank/peft";
import { encodeUtf8, type WritableFiles } from "@lowrank/tensor";
import type { MethodConfig } from "../config/study.ts";
import { MANIFEST, writeManifest } from "../records/manifest.ts";
import type { Evaluation } from "../store/result.ts";
import { Predictor, type PredictorParts } from "./predictor.ts";

export interface FittedParts extends PredictorParts {
  readonly adapter: Adapter | undefined;
  readonly metrics: Evaluation;
  readonly start?: Evaluation;
  readonly method: MethodConfig;
  readonly whole: readonly string[];
  readonly initSeed: number;
  /** Closes the device, where the training opened it. */
  readonly close: () => void;
}

export class Fitted extends Predictor {
  /** Absent where weights of the base themselves trained. */
  readonly adapter: Adapter | undefined;
  /** Of the weights that are there now, on the validation rows. */
  readonly metrics: Evaluation;
  /** Of the same rows before the first step; undefined unless `train.evalStart` asked for it. */
  readonly start: Evaluation | undefined;
  readonly #method: MethodConfig;
  readonly #whole: readonly string[];
  readonly #initSeed: number;
  readonly #close: () => void;

  constructor(parts: FittedParts) {
    super(parts);
    this.adapter = parts.adapter;
    this.metrics = parts.metrics;
    this.start = parts.start;
    this.#method = parts.method;
    this.#whole = parts.whole;
    this.#initSeed = parts.initSeed;
    this.#close = parts.close;
  }

  /** Labels in the order of the head's outputs. */
  get labels(): readonly string[] {
    return this.use.labels;
  }

  /** Writes the adapter as PEFT reads it, or the model as transformers does, and `lowrank.json`, by which `openPredictor` opens it again. */
  async save(files: WritableFiles): Promise<void> {
    const { adapter, base } = this;
    if (adapter === undefined) await savePretrained(base.model, files);
    else await saveAdapter(adapter, files, { keepStart: adapter.startErrors.size > 0 });
    const { storage, embeddings, precision } = this.#method;
    const text = writeManifest({
      format: 1,
      library: "lowrank",
      ...this.use,
      base: adapter === undefined ? null : (base.model.origin ?? null),
      revision: base.model.originRevision ?? null,
      storage: adapter === undefined ? "f32" : storage,
      ...(embeddings === undefined ? {} : { embeddings }),
      initSeed: this.#initSeed,
      whole: this.#whole,
      precision,
    });
    await files.write(MANIFEST, async (sink) => sink(encodeUtf8(text)));
  }

  override dispose(): void {
    super.dispose();
    this.#close();
  }
}
