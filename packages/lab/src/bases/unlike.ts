/** Whether an adapter sits on the base that it was made for: by what its files name, and by the modules that it leaves alone. */
import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import type { PretrainedModel } from "@lowrank/models";
import type { Adapter } from "@lowrank/peft";
import { printable, type Files } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import { statOf } from "../data/read-file.ts";
import { MANIFEST } from "../records/manifest.ts";
import { baseWord } from "./found.ts";

const CONFIG = "adapter_config.json";

/** A line where an adapter's files name another base than this one, which a person said. */
export async function otherBase(adapter: Files, base: string): Promise<string | undefined> {
  for (const [file, key] of [
    [MANIFEST, "base"],
    [CONFIG, "base_model_name_or_path"],
  ] as const) {
    if (!(await adapter.exists(file))) continue;
    const named = (parseJson(await adapter.text(file), file) as Record<string, unknown>)[key];
    if (typeof named !== "string" || named === "") continue;
    const beside = resolve(adapter.where, named);
    const [wanted, given] = [statOf(beside) === undefined ? baseWord(named) : beside, base].map(real);
    return wanted === given
      ? undefined
      : printable(`${adapter.where} was made for ${named} (${file}), and is laid on ${base}, as --base says`);
  }
  return undefined;
}

/** A line where a base has modules like those of an adapter, at other places, that the adapter leaves alone, as layers that its own base had not. */
export function leftAlone(model: PretrainedModel, adapter: Adapter): string | undefined {
  const like = (path: string): string => path.replaceAll(/(?<=\.)\d+(?=\.|$)/g, "N");
  const kinds = new Set([...adapter.sites.keys()].map(like));
  const alone = [...model.namedModules()]
    .map(([path]) => path)
    .filter((path) => kinds.has(like(path)) && !adapter.sites.has(path));
  return alone.length === 0
    ? undefined
    : `the adapter has nothing for ${alone.length} modules of this base that are like its own, ${alone[0]} the first; it was made for another number of layers`;
}

function real(path: string): string {
  return statOf(path) === undefined ? path : realpathSync(path);
}
