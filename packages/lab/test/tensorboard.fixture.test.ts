/** Our event files against those that TensorBoard's own writer made: bytes of records, hyper-parameters decoded, damage refused. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { crc32c, maskedCrc } from "../src/sinks/tensorboard/crc32c.ts";
import {
  experimentEvent,
  scalarsEvent,
  sessionEndEvent,
  sessionStartEvent,
  versionEvent,
} from "../src/sinks/tensorboard/events.ts";
import { varint } from "../src/sinks/tensorboard/message.ts";
import { frame } from "../src/sinks/tensorboard/record.ts";
import { hparamsOf, readEvents, type Record as EventRecord } from "./tfevents.ts";

const folder = fileURLToPath(new URL("../../../../shared/fixtures/tfevents", import.meta.url));

interface Listed {
  readonly offset: number;
  readonly length: number;
  readonly length_masked_crc32c: number;
  readonly data_masked_crc32c: number;
  readonly data_hex?: string;
  readonly data_base64?: string;
  readonly event: {
    readonly wall_time?: number;
    readonly step?: string;
    readonly summary?: {
      readonly value: readonly { readonly tag?: string; readonly simple_value?: number | string }[];
    };
  };
}
const golden = JSON.parse(readFileSync(join(folder, "tfevents.json"), "utf8")) as {
  readonly files: Readonly<Record<string, { readonly records: readonly Listed[] }>>;
  readonly damaged: Readonly<Record<string, { readonly records_readable: number; readonly why: string }>>;
  readonly crc32c: readonly {
    readonly hex?: string;
    readonly repeat_0_to_255?: number;
    readonly crc32c: number;
    readonly masked: number;
  }[];
  readonly varint: readonly { readonly value: string; readonly hex: string }[];
};
const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
const dataOf = ({ data_hex: hex, data_base64: base64 }: Listed): Buffer =>
  hex === undefined ? Buffer.from(base64!, "base64") : Buffer.from(hex, "hex");
const hex = (bytes: ArrayLike<number>): string => Buffer.from(Array.from(bytes)).toString("hex");

describe("checksums and numbers", () => {
  it.each(golden.crc32c)("CRC-32C of %j", ({ hex: text, repeat_0_to_255: times, crc32c: crc, masked }) => {
    const bytes =
      text === undefined ? Uint8Array.from({ length: 256 * times! }, (_, i) => i & 255) : Buffer.from(text, "hex");
    expect([crc32c(bytes), maskedCrc(bytes)]).toEqual([crc, masked]);
  });

  it.each(golden.varint)("varint of $value", ({ value, hex: want }) => {
    expect(hex(varint(BigInt(value)))).toBe(want);
    if (Number.isSafeInteger(Number(value))) expect(hex(varint(Number(value)))).toBe(want);
  });
});

describe("a file of TensorBoard's", () => {
  it.each(Object.keys(golden.files))("%s is read as it lists its records", (name) => {
    const { records } = golden.files[name]!;
    const read = [...readEvents(bytesOf(name))];
    expect(read.map(({ offset, data }) => [offset, hex(data)])).toEqual(
      records.map((record) => [record.offset, hex(dataOf(record))]),
    );
    expect(read.map(({ event }) => [event.wallTime, event.step])).toEqual(
      records.map(({ event }) => [event.wall_time ?? 0, BigInt(event.step ?? 0)]),
    );
  });

  it.each(readdirSync(folder).filter((name) => name.startsWith("bad-")))(
    "%s is refused where it is damaged",
    (name) => {
      const { records_readable: readable } = golden.damaged[name]!;
      const read: EventRecord[] = [];
      expect(() => {
        for (const record of readEvents(bytesOf(name))) read.push(record);
      }).toThrow();
      expect(read).toHaveLength(readable);
    },
  );
});

describe("what we write", () => {
  const SCALARS = ["scalars-simple", "scalars-nonfinite", "scalars-many-values", "run"].map((n) => `${n}.tfevents`);

  it.each(SCALARS)("equals %s byte for byte after the first record", (name) => {
    const { records } = golden.files[name]!;
    const file = bytesOf(name);
    for (const { offset, length, event } of records.slice(1)) {
      const values = event.summary!.value.map(({ tag = "", simple_value: v }) => [tag, Number(v)] as const);
      const written = frame(scalarsEvent(event.wall_time ?? 0, BigInt(event.step ?? 0), values));
      expect(hex(written)).toBe(hex(file.subarray(offset, offset + length + 16)));
    }
  });

  it("begins with a version that is read as such", () => {
    const [first] = readEvents(frame(versionEvent(1_700_000_000)));
    const [theirs] = readEvents(bytesOf("empty.tfevents"));
    expect(first!.event).toEqual(theirs!.event);
  });

  it("says hyper-parameters as hparams.tfevents does, decoded", () => {
    const [, experiment, start, end, metric] = [...readEvents(bytesOf("hparams.tfevents"))];
    const parameters = new Map<string, string | number | boolean>([
      ["lr", 0.001],
      ["layers", 2],
      ["opt", "adamw"],
      // torch's writer takes a truth value for a number
      ["lora", 1],
    ]);
    const ours = [
      experimentEvent(experiment!.event.wallTime, parameters, ["hparam/accuracy"]),
      sessionStartEvent(start!.event.wallTime, parameters),
      sessionEndEvent(end!.event.wallTime, true),
    ].map((data) => [...readEvents(frame(data))][0]!.event);
    for (const [i, theirs] of [experiment!, start!, end!].entries()) {
      const decoded = [ours[i]!, theirs.event].map((event) =>
        event.values.map(({ tag, simple, plugin }) => ({
          tag,
          simple,
          name: plugin!.name,
          said: hparamsOf(plugin!.content),
        })),
      );
      expect(decoded[0]).toEqual(decoded[1]);
      expect(ours[i]!.wallTime).toBe(theirs.event.wallTime);
    }
    // where no map is in between, the bytes are the same as well
    expect(hex(sessionEndEvent(end!.event.wallTime, true))).toBe(hex(end!.data));
    expect(hex(scalarsEvent(metric!.event.wallTime, 0, [["hparam/accuracy", 0.9]]))).toBe(hex(metric!.data));
  });
});
