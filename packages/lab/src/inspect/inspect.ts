/** Looking at whatever it may be: a checkpoint, an adapter, tensors, a tokenizer, the folder of a run. Headers are read, nothing else. */
import {
  architectureFor,
  inspectCheckpoint,
  locate,
  metaModel,
  readConfig,
  type CheckpointFacts,
  type InspectedCheckpoint,
  type Place,
  type Where,
} from "@lowrank/models";
import { holdsAdapter, inspectAdapter, type AdapterFacts } from "@lowrank/peft";
import { directory, LowrankError, type Device, type Files } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import { resolve } from "node:path";
import { validate } from "../config/validate.ts";
import { statOf } from "../data/read-file.ts";
import { metricNames } from "../metrics/of-evaluation.ts";
import { configSchema, resultSchema } from "../store/result-schema.ts";
import { planMemory, type MemoryFacts } from "./memory.ts";
import { methodsFor, type MethodFacts } from "./methods.ts";

/** The run that a folder is of. */
export interface RunFacts {
  readonly name: string;
  readonly study: string;
  readonly config: string;
  readonly method: string;
  readonly task: string;
  readonly seed: number;
  /** The task's metrics on the last evaluation, by name. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Everything that is told of a source. What does not apply is null or empty. */
export interface Inspection {
  /** Of this record's shape; a change that breaks readers raises it. */
  readonly version: 1;
  readonly kind: "checkpoint" | "adapter" | "tensors" | "tokenizer" | "run";
  readonly where: string;
  readonly checkpoint: CheckpointFacts | null;
  readonly adapter: AdapterFacts | null;
  /** Where the adapter's base was found, to be held against. */
  readonly base: string | null;
  readonly run: RunFacts | null;
  /** Adapter methods, whether they fit or not; empty where the checkpoint is of no family. */
  readonly methods: readonly MethodFacts[];
  readonly memory: MemoryFacts | null;
}

export interface InspectionOptions {
  /** Of a model of the hub. */
  readonly revision?: string | undefined;
  /** What memory is planned for; none is without. */
  readonly device?: Device | undefined;
  /** Bytes that are free; null where nobody knows. */
  readonly available?: number | null;
}

const NOTHING = {
  version: 1,
  checkpoint: null,
  adapter: null,
  base: null,
  run: null,
  methods: [],
  memory: null,
} as const;

/** @throws LowrankError in one line: FileError where there is nothing to look into, FormatError where a file is damaged, NetworkError where the hub cannot be reached */
export async function inspect(from: Where, options: InspectionOptions = {}): Promise<Inspection> {
  const { revision } = options;
  const place = await locate(from, revision === undefined ? {} : { revision });
  const { files } = place;
  const alone = place.file !== undefined;
  if (!alone && (await files.exists("result.json"))) return ofRun(files, options);
  if (!alone && (await holdsAdapter(files)) && !(await files.exists("config.json"))) return ofAdapter(files, place);
  return ofCheckpoint(place, options);
}

async function ofCheckpoint(place: Place, options: InspectionOptions): Promise<Inspection> {
  // what lies here costs nothing to read
  const wholeTokenizer = place.hub !== true && !/^https?:/.test(place.files.where);
  const inspected = await inspectCheckpoint(place, { wholeTokenizer });
  const { facts, model } = inspected;
  const task = facts.loads.task;
  return {
    ...NOTHING,
    kind: facts.kind,
    where: facts.where,
    checkpoint: facts,
    methods: model === undefined ? [] : methodsFor(model, task),
    memory: await memoryOf(inspected, options),
  };
}

async function memoryOf(
  { facts, model }: InspectedCheckpoint,
  options: InspectionOptions,
): Promise<MemoryFacts | null> {
  const { device, available = null } = options;
  // what is not built cannot be traced
  if (device === undefined || model === undefined || facts.loads.notBuilt.length > 0) return null;
  return planMemory(model, facts.weights, { device, task: facts.loads.task, available });
}

async function ofAdapter(files: Files, { hub }: Place): Promise<Inspection> {
  const first = await inspectAdapter(files);
  const base = hub === true ? undefined : await baseOf(first);
  const adapter = base === undefined ? first : await inspectAdapter(files, base.model);
  return { ...NOTHING, kind: "adapter", where: files.where, adapter, base: base?.where ?? null };
}

/** The base that an adapter names, where it lies here: beside it, or where a path leads. */
async function baseOf({ where, base, task, refused }: AdapterFacts) {
  if (base === null || refused !== null) return undefined;
  const path = [resolve(where, base), resolve(base)].find((at) => statOf(resolve(at, "config.json")) !== undefined);
  if (path === undefined) return undefined;
  try {
    const config = await readConfig(directory(path));
    return { where: path, model: metaModel(architectureFor(config, task ?? undefined), config) };
  } catch (error) {
    if (error instanceof LowrankError && error.kind === "input") return undefined;
    throw error;
  }
}

async function ofRun(files: Files, options: InspectionOptions): Promise<Inspection> {
  const path = `${files.where}/result.json`;
  const { name, config, method, task, seed, final } = validate(
    resultSchema,
    parseJson(await files.text("result.json"), path),
    path,
  );
  const asked = `${files.where}/config.json`;
  const { study } = validate(configSchema, parseJson(await files.text("config.json"), asked), asked);
  // a metric that has no value is none
  const measured = metricNames(final).flatMap((metric) => {
    const value = final[metric];
    return typeof value === "number" && Number.isFinite(value) ? [[metric, value] as const] : [];
  });
  const run = { name, study, config, method, task, seed, metrics: Object.fromEntries(measured) };
  const folder = (await files.exists("adapter/adapter_config.json"))
    ? "adapter"
    : (await files.exists("checkpoint/config.json"))
      ? "checkpoint"
      : undefined;
  const found = { ...NOTHING, kind: "run", where: files.where, run } as const;
  if (folder === undefined) return found;
  const { adapter, checkpoint, base, methods, memory } = await inspect(below(files, folder), options);
  return { ...found, adapter, checkpoint, base, methods, memory };
}

/** Files of a folder within. */
function below(files: Files, folder: string): Files {
  return {
    where: `${files.where}/${folder}`,
    exists: (name) => files.exists(`${folder}/${name}`),
    text: (name) => files.text(`${folder}/${name}`),
    open: (name) => files.open(`${folder}/${name}`),
  };
}
