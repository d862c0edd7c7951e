/** TensorBoard's events (tensorboard/compat/proto: event, summary; plugins/hparams: plugin_data), as bytes of a record. Times are seconds since 1970. */
import { Message, varint } from "./message.ts";

const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 } as const;
const VALUE = { tag: 1, simpleValue: 2, metadata: 9 } as const;

function event(wallTime: number, step: number | bigint = 0): Message {
  return new Message().double(EVENT.wallTime, wallTime).int(EVENT.step, step);
}

/** The first of every file. */
export function versionEvent(wallTime: number): Uint8Array {
  return event(wallTime).string(EVENT.fileVersion, "brain.Event:2").encode();
}

/** A session begins: what earlier files say of this step and of later ones is void. */
export function startEvent(wallTime: number, step: number): Uint8Array {
  const start = 1;
  return event(wallTime, step).message(EVENT.sessionLog, new Message().intOf(1, start)).encode();
}

/** A value's bytes up to its number, by tag: a run says the same few at every step, so these are made once and nothing else is allocated for them. */
const heads = new Map<string, Uint8Array>();
const FLOAT_BYTES = 4;

function headOf(tag: string): Uint8Array {
  const known = heads.get(tag);
  if (known !== undefined) return known;
  const value = new Message().string(VALUE.tag, tag).floatOf(VALUE.simpleValue, 0);
  const head = new Message().message(1, value).encode().subarray(0, -FLOAT_BYTES);
  heads.set(tag, head);
  return head;
}

export function scalarsEvent(
  wallTime: number,
  step: number | bigint,
  values: readonly (readonly [tag: string, value: number])[],
): Uint8Array {
  const parts = values.map(([tag]) => headOf(tag));
  const size = parts.reduce((sum, head) => sum + head.length + FLOAT_BYTES, 0);
  const start = event(wallTime, step)
    .raw([...varint(8 * EVENT.summary + 2), ...varint(size)])
    .encode();
  const out = new Uint8Array(start.length + size);
  const view = new DataView(out.buffer);
  out.set(start);
  let at = start.length;
  for (const [i, head] of parts.entries()) {
    out.set(head, at);
    view.setFloat32(at + head.length, values[i]![1], true);
    at += head.length + FLOAT_BYTES;
  }
  return out;
}

export type HyperParameter = string | number | boolean;

/** `HParamInfo.type`. */
const TYPES = { string: 1, boolean: 2, number: 3 } as const;

/** What hyper-parameters there are and by which scalars runs are compared. */
export function experimentEvent(
  wallTime: number,
  parameters: ReadonlyMap<string, HyperParameter>,
  metrics: readonly string[],
): Uint8Array {
  const experiment = new Message();
  for (const [name, value] of parameters)
    experiment.message(4, new Message().string(1, name).int(4, TYPES[typeof value as keyof typeof TYPES]));
  for (const tag of metrics) experiment.message(5, new Message().message(1, new Message().string(2, tag)));
  return hparamsEvent(wallTime, "_hparams_/experiment", new Message().message(2, experiment));
}

/** What a run has for them. */
export function sessionStartEvent(
  wallTime: number,
  parameters: ReadonlyMap<string, HyperParameter>,
  group = "",
): Uint8Array {
  const start = new Message();
  for (const [name, value] of parameters)
    start.message(1, new Message().string(1, name).message(2, parameterValue(value)));
  return hparamsEvent(wallTime, "_hparams_/session_start_info", new Message().message(3, start.string(4, group)));
}

export function sessionEndEvent(wallTime: number, succeeded: boolean): Uint8Array {
  const [success, failure] = [1, 2];
  const end = new Message().int(1, succeeded ? success : failure);
  return hparamsEvent(wallTime, "_hparams_/session_end_info", new Message().message(4, end));
}

/** `google.protobuf.Value`. */
function parameterValue(value: HyperParameter): Message {
  if (typeof value === "number") return new Message().doubleOf(2, value);
  if (typeof value === "boolean") return new Message().intOf(4, Number(value));
  return new Message().bytes(3, new TextEncoder().encode(value));
}

function hparamsEvent(wallTime: number, tag: string, content: Message): Uint8Array {
  const metadata = new Message().message(1, new Message().string(1, "hparams").message(2, content));
  const value = new Message().string(VALUE.tag, tag).message(VALUE.metadata, metadata);
  return event(wallTime).message(EVENT.summary, new Message().message(1, value)).encode();
}
