/** Looking at a checkpoint without loading it: headers, configs and tokenizer files are read, no tensor. */
import { formatOf } from "@lowrank/quant";
import type { TensorSource } from "@lowrank/tensor";
import { checkOptions, fields, flag, optional } from "@lowrank/tensor/check";
import { isPlace, placeOf, type Place } from "../places/place.ts";
import type { Where } from "../places/url.ts";
import type { PretrainedModel } from "../pretrained.ts";
import { modernName } from "../weights-file.ts";
import type { CheckpointFacts, DTypeFacts, TensorFacts } from "./facts.ts";
import { loadsAs } from "./loads.ts";
import { open, type Opened } from "./opened.ts";
import { sizesOfConfig, sizesOfSource } from "./sizes.ts";
import { tokenizerOf, tokenizerOfGguf } from "./tokenizer.ts";

export interface InspectOptions {
  /** Reads tokenizer.json whatever its length; else one beyond a megabyte is named and not opened. Default false. */
  readonly wholeTokenizer?: boolean;
}
const OPTIONS = fields<InspectOptions>({ wholeTokenizer: optional(flag) });

/** A checkpoint that was looked at. */
export interface InspectedCheckpoint {
  readonly facts: CheckpointFacts;
  /** With its shape only, for counting and planning; undefined where no family has it. */
  readonly model: PretrainedModel | undefined;
}

/**
 * What is in a checkpoint, and what loading it would come to.
 * @param from as for `fromPretrained`, or what `locate` found; also tensors without a config, and a tokenizer alone. Models of the hub are read
 *   by ranges where the cache does not have them
 * @throws LowrankError: FileError where there is nothing to look into, FormatError where a file is damaged, NetworkError where the hub cannot be reached
 */
export async function inspectCheckpoint(
  from: Where | Place,
  options: InspectOptions = {},
): Promise<InspectedCheckpoint> {
  const { wholeTokenizer = false } = checkOptions("inspectCheckpoint", OPTIONS, options);
  const place = isPlace(from) ? from : await placeOf("inspectCheckpoint", from, "config.json", { ranges: true });
  const opened = await open(place);
  try {
    const { form, where, files, tensors: source, config, metadata, gguf } = opened;
    const { facts: loads, weights, model } = loadsAs(opened);
    const tokenizer =
      gguf === undefined ? await tokenizerBeside(place, wholeTokenizer) : tokenizerOfGguf(gguf.file, gguf.name);
    const tensors = source === undefined ? [] : inOrder(source, opened, model);
    const { model_type: modelType, architectures } = config ?? {};
    return {
      facts: {
        kind:
          config !== undefined || gguf !== undefined ? "checkpoint" : source === undefined ? "tokenizer" : "tensors",
        where,
        form,
        files,
        bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
        modelType: typeof modelType === "string" ? modelType : (metadata["general.architecture"] ?? null),
        architectures: Array.isArray(architectures) ? architectures.map(String) : [],
        quantization: quantizationOf(opened),
        sizes:
          model !== undefined
            ? { ...sizesOfConfig(model.config), tied: model.tied.size > 0 }
            : config === undefined
              ? null
              : sizesOfSource(config),
        tensors,
        weights,
        dtypes: dtypesOf(tensors),
        metadata,
        tokenizer: tokenizer ?? null,
        loads,
      },
      model,
    };
  } finally {
    await opened.close();
  }
}

/** Of a file that was named, what lies beside it may be another's. */
async function tokenizerBeside({ files, file }: Place, whole: boolean): ReturnType<typeof tokenizerOf> {
  return file === undefined ? tokenizerOf(files, whole) : undefined;
}

/** Tensors in the model's order where they have its names, then the others by name. */
function inOrder(source: TensorSource, { weights }: Opened, model: PretrainedModel | undefined): TensorFacts[] {
  const known = new Map([...(model?.namedWeights() ?? [])].map(([name], i) => [name, i]));
  const renamed = new Map(source.names.map((name, i) => [name, weights?.names[i] ?? name]));
  const placeOfName = (name: string): number => {
    // bitsandbytes' entries follow their weight
    const base = modernName(renamed.get(name)!).replace(/(\.weight)\..*$|\.(SCB|weight_format)$/, "$1");
    return (
      known.get(base) ?? known.get(`${model!.family.basePrefix}${base}`) ?? known.get(`${base}.weight`) ?? known.size
    );
  };
  const rows = source.names.map((name) => {
    const { dtype, shape, bytes } = source.info(name);
    return { name, dtype, shape: [...shape], bytes };
  });
  const order = new Map(rows.map(({ name }) => [name, model === undefined ? 0 : placeOfName(name)]));
  return rows.sort(
    (a, b) => order.get(a.name)! - order.get(b.name)! || a.name.localeCompare(b.name, "en", { numeric: true }),
  );
}

function dtypesOf(tensors: readonly TensorFacts[]): DTypeFacts[] {
  const found = new Map<string, DTypeFacts>();
  for (const { dtype, shape, bytes } of tensors) {
    const sum = found.get(dtype) ?? { dtype, tensors: 0, elements: 0, bytes: 0 };
    const elements = shape.reduce((n, d) => n * d, 1);
    found.set(dtype, { dtype, tensors: sum.tensors + 1, elements: sum.elements + elements, bytes: sum.bytes + bytes });
  }
  return [...found.values()].sort((a, b) => b.bytes - a.bytes);
}

/** What the entries are, else what config.json says. */
function quantizationOf({ config, tensors, form }: Opened): string | null {
  if (form === "gguf") return null;
  const forms = new Set(tensors?.names.flatMap((name) => formatOf(tensors, name)?.name ?? []));
  if (forms.size > 0) return [...forms].join(", ");
  const said = config?.["quantization_config"] as { readonly quant_method?: unknown } | null | undefined;
  return typeof said?.quant_method === "string" ? said.quant_method : null;
}
