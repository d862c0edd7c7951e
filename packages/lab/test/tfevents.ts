/** Reads event files, for tests: records with their checksums, then events. What is damaged is refused where the damage is. */
import { maskedCrc } from "../src/sinks/tensorboard/crc32c.ts";

/** A field of a message: a number of 64 bits, bytes of a fixed width, or bytes with a length. */
type Field = readonly [field: number, value: bigint | Uint8Array];

/** @throws where the bytes are no message */
export function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("a number is cut off");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new Error("a number of more than ten bytes");
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw new Error("a field is cut off");
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const key = varint();
    const [field, type] = [Number(key >> 3n), Number(key & 7n)];
    if (field === 0) throw new Error("field 0");
    if (type === 0) fields.push([field, varint()]);
    else if (type === 1) fields.push([field, take(8)]);
    else if (type === 2) fields.push([field, take(Number(varint()))]);
    else if (type === 5) fields.push([field, take(4)]);
    else throw new Error(`wire type ${type}`);
  }
  return fields;
}

const one = (fields: readonly Field[], field: number): Uint8Array | undefined =>
  fields.findLast(([f]) => f === field)?.[1] as Uint8Array | undefined;
const all = (fields: readonly Field[], field: number): Uint8Array[] =>
  fields.filter(([f]) => f === field).map(([, value]) => value as Uint8Array);
const textOf = (bytes: Uint8Array | undefined): string =>
  new TextDecoder("utf8", { fatal: true }).decode(bytes ?? new Uint8Array());
const number = (fields: readonly Field[], field: number): bigint =>
  (fields.findLast(([f]) => f === field)?.[1] ?? 0n) as bigint;
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export interface Value {
  readonly tag: string;
  readonly simple: number | undefined;
  readonly plugin: { readonly name: string; readonly content: Uint8Array } | undefined;
}

export interface Event {
  readonly wallTime: number;
  readonly step: bigint;
  readonly version: string;
  readonly values: readonly Value[];
  /** `SessionLog.status`; 1 is START. */
  readonly session: number | undefined;
}

export function eventOf(data: Uint8Array): Event {
  const fields = fieldsOf(data);
  const time = one(fields, 1);
  const [summary, session] = [one(fields, 5), one(fields, 7)];
  return {
    wallTime: time === undefined ? 0 : viewOf(time).getFloat64(0, true),
    step: BigInt.asIntN(64, number(fields, 2)),
    version: textOf(one(fields, 3)),
    values: (summary === undefined ? [] : all(fieldsOf(summary), 1)).map((bytes) => {
      const value = fieldsOf(bytes);
      const [simple, metadata] = [one(value, 2), one(value, 9)];
      const plugin = metadata === undefined ? undefined : one(fieldsOf(metadata), 1);
      return {
        tag: textOf(one(value, 1)),
        simple: simple === undefined ? undefined : viewOf(simple).getFloat32(0, true),
        plugin:
          plugin === undefined
            ? undefined
            : { name: textOf(one(fieldsOf(plugin), 1)), content: one(fieldsOf(plugin), 2) ?? new Uint8Array() },
      };
    }),
    session: session === undefined ? undefined : Number(number(fieldsOf(session), 1)),
  };
}

export interface Record {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly event: Event;
}

/** Each in turn. @throws at the first that is damaged, and for a file without any */
export function* readEvents(file: Uint8Array): Generator<Record> {
  const view = viewOf(file);
  if (file.length === 0) throw new Error("the file is empty");
  for (let at = 0; at < file.length;) {
    const broken = (what: string): Error => new Error(`byte ${at}: ${what}`);
    if (file.length - at < 12) throw broken("a length is cut off");
    const length = view.getBigUint64(at, true);
    if (view.getUint32(at + 8, true) !== maskedCrc(file.subarray(at, at + 8))) throw broken("checksum of the length");
    if (length > BigInt(file.length - at - 16)) throw broken("a record is cut off");
    const data = file.subarray(at + 12, at + 12 + Number(length));
    if (view.getUint32(at + 12 + data.length, true) !== maskedCrc(data)) throw broken("checksum of the data");
    yield { offset: at, data, event: eventOf(data) };
    at += 16 + data.length;
  }
}

type Parameter = string | number | boolean | null;

/** `google.protobuf.Value`. */
function parameterOf(bytes: Uint8Array): Parameter {
  const fields = fieldsOf(bytes);
  const [field, value] = fields.at(-1) ?? [1, 0n];
  if (field === 2) return viewOf(value as Uint8Array).getFloat64(0, true);
  if (field === 3) return textOf(value as Uint8Array);
  return field === 4 ? value === 1n : null;
}

/** What an event of the hparams plugin says; maps in any order. */
export function hparamsOf(content: Uint8Array): {
  readonly infos: Record2<number>;
  readonly metrics: readonly string[];
  readonly start: Record2<Parameter>;
  readonly group: string;
  readonly end: number | undefined;
} {
  const fields = fieldsOf(content);
  const [experiment, start, end] = [2, 3, 4].map((field) => one(fields, field));
  const inner = experiment === undefined ? [] : fieldsOf(experiment);
  const session = start === undefined ? [] : fieldsOf(start);
  return {
    infos: Object.fromEntries(
      all(inner, 4).map((info) => [textOf(one(fieldsOf(info), 1)), Number(number(fieldsOf(info), 4))]),
    ),
    metrics: all(inner, 5).map((metric) => textOf(one(fieldsOf(one(fieldsOf(metric), 1)!), 2))),
    start: Object.fromEntries(
      all(session, 1).map((entry) => [textOf(one(fieldsOf(entry), 1)), parameterOf(one(fieldsOf(entry), 2)!)]),
    ),
    group: textOf(one(session, 4)),
    end: end === undefined ? undefined : Number(number(fieldsOf(end), 1)),
  };
}
type Record2<T> = Readonly<globalThis.Record<string, T>>;
