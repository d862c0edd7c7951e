/** Memory for weights: stored values where there are any, fresh ones otherwise; and values written into weights that have theirs. */
import {
  bytesOf,
  dtypes,
  floatsOf,
  LowrankError,
  NumericsError,
  quote,
  RandomStream,
  ShapeError,
  toMemory,
  type Device,
  type DType,
  type StoredTensor,
  type TypedArray,
} from "@lowrank/tensor";
import {
  device as aDevice,
  anything,
  callback,
  checkOptions,
  fields,
  flag,
  having,
  name as nonEmpty,
  oneOf,
  optional,
  whole,
} from "@lowrank/tensor/check";
import { checkForm } from "./form.ts";
import type { Init, Weight, WeightForm, WeightFormat } from "./weight.ts";

export interface MaterializeOptions {
  readonly device: Device;
  /** dtype of the weights. Default: the device's float. */
  readonly dtype?: DType;
  /** How a weight is kept, where that is narrower than what it computes in: f16, bf16 or a quantized format, for frozen ones. Default: `dtype`. */
  readonly storage?: (name: string, weight: Weight) => DType | WeightFormat | undefined;
  /** Fresh values depend on this and on the weight's name only. Default 0. */
  readonly seed?: number;
  /** Stored values by name; whatever is missing is drawn fresh. Read one at a time. */
  readonly values?: WeightValues;
}

/** Where a model's weights come from. */
export interface WeightValues {
  has(name: string): boolean;
  /** The numbers. */
  read(name: string): Promise<StoredTensor>;
  /** The weight as it is stored, where that is a form of its own: taken where `storage` asks for nothing else. */
  form?(name: string): Promise<WeightForm> | undefined;
}

const MATERIALIZE = fields<MaterializeOptions>({
  device: aDevice,
  dtype: optional(oneOf(...(Object.keys(dtypes) as DType[]))),
  storage: optional(callback()),
  seed: optional(whole(0)),
  values: optional(anything()),
});

type Stored = Pick<StoredTensor, "data" | "dtype">;

/** As `Module.materialize`, of weights with their names. */
export async function materialize(
  weights: Iterable<readonly [string, Weight]>,
  options: MaterializeOptions,
): Promise<{ fresh: string[] }> {
  const { device, values, storage, seed = 0 } = checkOptions("materialize", MATERIALIZE, options);
  const dtype = options.dtype ?? device.defaultFloat;
  const fresh: string[] = [];
  const wanted = new Map<Weight, { name: string; asked: DType | WeightFormat | undefined }>();
  for (const [name, weight] of weights) {
    weight.name ||= name;
    if (!weight.materialized && !wanted.has(weight))
      wanted.set(weight, { name, asked: keptAs(name, storage?.(name, weight)) });
  }
  device.ensureRoom(
    [...wanted].reduce(
      (sum, [weight, { asked = dtype }]) => sum + (typeof asked === "string" ? bytesOf(asked) * weight.size : 0),
      0,
    ),
  );
  for (const [weight, { name, asked }] of wanted) {
    const form = asked === undefined && values?.has(name) === true ? values.form?.(name) : undefined;
    if (form !== undefined) {
      weight.form = checkForm(name, await form, weight.shape);
      continue;
    }
    const kept = asked ?? dtype;
    const target = typeof kept === "string" ? kept : "f32";
    const initial = await storedValues(weight, name, values);
    if (initial === undefined) fresh.push(name);
    const stored = fitting(name, target, initial ?? { data: drawFresh(weight, seed, name, target), dtype: target });
    if (typeof kept !== "string") {
      const values = toMemory("f32", stored.data, stored.dtype) as Float32Array;
      const made = kept.keep(device, name, weight.shape, values);
      weight.form = checkForm(`${name}, kept as ${kept.kind}`, made, weight.shape);
      continue;
    }
    weight.computesIn = kept === dtype ? undefined : dtype;
    weight.parameter = device.parameter(stored.data, weight.shape, kept, stored.dtype);
  }
  return { fresh };
}

const FORMAT = having<WeightFormat>("a way of keeping weights (a WeightFormat)", { kind: nonEmpty, keep: callback() });

/** What `storage` gave for a weight, looked at before anything is read. */
function keptAs(name: string, given: unknown): DType | WeightFormat | undefined {
  if (given === undefined || (typeof given === "string" && Object.hasOwn(dtypes, given)))
    return given as undefined | DType;
  if (typeof given === "object" && given !== null)
    return FORMAT.read(given, { source: `storage(${quote(name)})`, path: [], code: "ConfigError" });
  throw new LowrankError(
    "ConfigError",
    `storage(${quote(name)}) gave ${quote(given)}; it gives a dtype (${Object.keys(dtypes).join(", ")}), a way of keeping weights (fourBit() of @lowrank/quant, planQuantization(model, options).storage), or undefined`,
  );
}

async function storedValues(
  weight: Weight,
  name: string,
  values: WeightValues | undefined,
): Promise<Stored | undefined> {
  if (values?.has(name) !== true) return undefined;
  const { data, shape, dtype } = await values.read(name);
  if (shape.join() !== weight.shape.join())
    throw new ShapeError(`${name}: the file has [${shape.join(", ")}], the model wants [${weight.shape.join(", ")}]`);
  return { data, dtype };
}

/** As `Module.loadStateDict`, of weights by name. */
export function loadStateDict(
  weights: ReadonlyMap<string, Weight>,
  values: ReadonlyMap<string, StoredTensor>,
  options: { strict?: boolean },
): { missing: string[]; unexpected: string[] } {
  checkOptions("loadStateDict", fields<{ strict?: boolean }>({ strict: optional(flag) }), options);
  const missing = [...weights.keys()].filter((n) => !values.has(n));
  const unexpected = [...values.keys()].filter((n) => !weights.has(n));
  if (options.strict !== false && missing.length + unexpected.length > 0) {
    throw new LowrankError(
      "NameError",
      `loadStateDict: missing ${missing.slice(0, 5).join(", ") || "nothing"}; unexpected ${unexpected.slice(0, 5).join(", ") || "nothing"}`,
    );
  }
  for (const [name, { data, shape, dtype }] of values) {
    const weight = weights.get(name);
    if (weight === undefined) continue;
    if (shape.join() !== weight.shape.join())
      throw new ShapeError(`${name}: values are [${shape.join(", ")}], the model wants [${weight.shape.join(", ")}]`);
    const { dtype: kept } = weight.parameter;
    const fit = fitting(name, kept, { data, dtype });
    weight.parameter.write(toMemory(kept, fit.data, fit.dtype));
  }
  return { missing, unexpected };
}

/** Stored numbers, narrowed where `kept` is narrower. @throws NumericsError naming the first that it cannot hold */
function fitting(
  name: string,
  kept: DType,
  stored: Pick<StoredTensor, "data" | "dtype">,
): Pick<StoredTensor, "data" | "dtype"> {
  const { data, dtype } = stored;
  // f16 ends at 65504, below whole numbers that promote to it
  if (dtypes[kept].rank >= dtypes[dtype].rank && (kept !== "f16" || dtype === "f16")) return stored;
  const memory = toMemory(kept, data, dtype);
  const [before, after] = [floatsOf(dtype, data), floatsOf(kept, memory)];
  const lost = after.findIndex((v, i) => !Number.isFinite(v) && Number.isFinite(before[i]));
  if (lost >= 0)
    throw new NumericsError(
      `${name}: element ${lost}, ${before[lost]}, is too large for ${kept}, in which the weight is kept`,
    );
  return { data: memory, dtype: kept };
}

/** Values are drawn in f64 and rounded piece by piece, so that a large weight never stands in memory at full width. */
const DRAW_PIECE = 1 << 16;

function drawFresh(weight: Weight, seed: number, name: string, dtype: DType): TypedArray {
  const out = new dtypes[dtype].array(new ArrayBuffer(weight.size * dtypes[dtype].bytes));
  const { init }: { init: Init } = weight;
  if (init.kind === "zeros") return out;
  const stream = new RandomStream(seed, `init/${name}`);
  for (let from = 0; from < weight.size; from += DRAW_PIECE) {
    const piece = new Float64Array(Math.min(DRAW_PIECE, weight.size - from));
    if (init.kind === "ones") piece.fill(1);
    else if (init.kind === "normal") stream.fillNormal(piece, 0, init.std);
    else stream.fillUniform(piece, -init.bound, init.bound);
    out.set(toMemory(dtype, piece, "f64"), from);
  }
  return out;
}
