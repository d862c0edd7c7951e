/** What `lowrank.json` beside an adapter says of the model that it sits on, which neither PEFT's files nor the base's do. */
import type { ConfigOverrides } from "@lowrank/models";
import { encodeUtf8, type Files, type WritableFiles } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import { overridesOf, type ModelKind } from "../bases/kind.ts";
import { MANIFEST, readManifest, writeManifest, type Manifest } from "../records/manifest.ts";
import { rowTasks } from "../tasks/row-tasks.ts";

export interface KnownModel {
  readonly kind: ModelKind;
  readonly revision: string | undefined;
  /** The file's words. */
  readonly said: Manifest;
  /** Labels by their names, the loss, padding, and what weights were drawn from that no file has. */
  readonly options: Pick<ConfigOverrides, "labels" | "problemType" | "padTokenId"> & { readonly seed: number };
}

/** Undefined where there is no such file, as beside adapters of other programs. @throws InputError for one that nobody wrote so */
export async function knownModel(files: Files): Promise<KnownModel | undefined> {
  if (!(await files.exists(MANIFEST))) return undefined;
  const source = `${files.where}/${MANIFEST}`;
  const said = readManifest(parseJson(await files.text(MANIFEST), source), source);
  // a plugin's task says its labels in no other place
  const head = rowTasks.has(said.task) ? rowTasks.get(said.task).head?.(said) : { labels: said.labels };
  const padding = said.padOfModel ? {} : { padTokenId: said.padId };
  return {
    kind: said.kind,
    said,
    revision: said.revision ?? undefined,
    options: {
      ...(head === undefined ? {} : overridesOf(said.kind, head)),
      ...padding,
      seed: said.initSeed,
    },
  };
}

/** The same beside what is written, so that it can be used as the adapter could. @param now what is another there */
export async function carryKnown(
  known: KnownModel | undefined,
  files: WritableFiles,
  now: Pick<Manifest, "base" | "revision" | "storage" | "whole">,
): Promise<void> {
  if (known === undefined) return;
  const { embeddings, ...said } = known.said;
  const text = writeManifest({
    ...said,
    ...(now.base === null || embeddings === undefined ? {} : { embeddings }),
    ...now,
  });
  await files.write(MANIFEST, async (sink) => sink(encodeUtf8(text)));
}
