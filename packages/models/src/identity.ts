/** Which family and class a `config.json` is of. A file is what it says, or it is refused. */
import { LowrankError, quote } from "@lowrank/tensor";
import { editDistance, parseJson, suggestion } from "@lowrank/tensor/check";
import type { Files } from "@lowrank/tensor";
import type { ConfigSource } from "./shared/config-table.ts";
import type { ModelFamily } from "./pretrained.ts";

/** What is asked of a class here. */
export interface NamedClass {
  readonly architecture: string;
  readonly family: Pick<ModelFamily<never>, "modelType" | "sizeKeys">;
}

export async function readConfig(files: Files): Promise<Record<string, unknown>> {
  if (!(await files.exists("config.json")))
    throw new LowrankError(
      "FileError",
      `${files.where}: ${files.instead?.("config.json") ?? "there is no config.json"}; give the folder of a Hugging Face checkpoint`,
    );
  return configObject(parseJson(await files.text("config.json"), `${files.where}/config.json`));
}

function configObject(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new LowrankError("FormatError", `config.json: must be an object, got ${quote(value)}`);
  return value as Record<string, unknown>;
}

/** `model_type` of the file, and its first architecture. */
export function identityOf(config: ConfigSource): {
  readonly modelType: string | undefined;
  readonly architecture: string | undefined;
} {
  const { model_type: modelType, architectures } = configObject(config);
  if (modelType !== undefined && modelType !== null && typeof modelType !== "string")
    throw new LowrankError("FormatError", `config.json: "model_type" must be a string, got ${quote(modelType)}`);
  const listed = architectures ?? [];
  if (!Array.isArray(listed) || !listed.every((a): a is string => typeof a === "string"))
    throw new LowrankError(
      "FormatError",
      `config.json: "architectures" must be a list of strings, got ${quote(architectures)}`,
    );
  return { modelType: modelType ?? undefined, architecture: listed[0] };
}

/**
 * Refuses a file that says it is of another family than `as`. One that says nothing is taken at its word when all of the family's sizes
 * stand in it: what is missing would be taken from a model of which the file says nothing.
 * @param modelTypeOf the family of an architecture, where it is known
 */
export function requireFamily(
  config: ConfigSource,
  as: NamedClass,
  modelTypeOf: (architecture: string) => string | undefined,
  where: string,
): void {
  const { modelType, architecture } = identityOf(config);
  const type = modelType ?? (architecture === undefined ? undefined : modelTypeOf(architecture));
  if (type !== undefined) {
    if (type !== as.family.modelType)
      throw new LowrankError(
        "ConfigError",
        `${where}: config.json says model_type ${quote(type)}, and ${as.architecture} is a "${as.family.modelType}"`,
      );
    return;
  }
  const absent = as.family.sizeKeys.find((spellings) => !spellings.some((key) => Object.hasOwn(config, key)));
  if (absent !== undefined)
    throw new LowrankError(
      "FormatError",
      `${where}: config.json has no "model_type" and no "${absent[0]}": it is no configuration of a ${as.architecture}`,
    );
}

/** What to say of a class that is not built: one of the same family whose name is near, else what there is. */
export function nearClass(name: string, known: readonly string[]): string {
  // "ForCausalLM" is half of a name and says nothing about the family
  const family = (n: string): string => n.replace(/(For|LMHead|Model).*$/, "").toLowerCase();
  const near = known.filter((k) => editDistance(family(k), family(name)) <= (family(name).length > 4 ? 1 : 0));
  return near.length > 0 ? suggestion(name, near) : `; there are ${known.join(", ")}`;
}
