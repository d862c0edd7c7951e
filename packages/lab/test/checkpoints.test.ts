/** Checkpoints as files: whole or not there, whatever happens while one is written. */
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as node from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { InputError } from "../src/errors.ts";
import { Checkpoints, CHECKPOINTS, type Disk } from "../src/store/checkpoints.ts";
import { fromText, toText } from "../src/store/exact-json.ts";
import type { State } from "../src/train/state.ts";
import { Killed, mortalDisk } from "./mortal-disk.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-checkpoints-"));
const IDENTITY = "one";

/** A state that says which step it is of in every place. */
function stateOf(step: number): State {
  const data = Float32Array.from({ length: 300 }, (_, i) => step + i / 7);
  return {
    values: { record: { step, loss: Number.NaN, best: -0 } },
    tensors: new Map([
      ["weights/a", { dtype: "f32", shape: [300], load: () => data }],
      ["weights/b", { dtype: "f32", shape: [100, 3], load: async () => data }],
    ]),
  };
}

const noted = (step: number, lengths = {}) => ({ step, lengths, seconds: { total: step, training: step / 2 } });
const open = (folder: string, disk: Disk = node, keep = 2): Checkpoints =>
  new Checkpoints(folder, { identity: IDENTITY, keep, disk });

async function save(folder: string, step: number, disk?: Disk, keep?: number): Promise<string> {
  return open(folder, disk, keep).save(stateOf(step), noted(step));
}

/** The step of the last one, which is the whole state of it; and what was said. */
async function newest(folder: string): Promise<{ step: number | undefined; said: string[] }> {
  const said: string[] = [];
  const read = await open(folder).newest((line) => said.push(line));
  if (read !== undefined) {
    const { values, tensors } = stateOf(read.step);
    expect(read.saved.values).toEqual(values);
    expect([...read.saved.tensors.keys()].sort()).toEqual([...tensors.keys()]);
    for (const [name, { load, shape }] of tensors)
      expect(read.saved.tensors.get(name)).toMatchObject({ data: await load(), shape });
  }
  return { step: read?.step, said };
}

describe("checkpoints", () => {
  it.each([1, 2, 3])("are the last %i, and what was read is what was written", async (keep) => {
    const folder = temporary();
    for (const step of [5, 40, 123_456_789]) await save(folder, step, node, keep);
    expect(readdirSync(join(folder, CHECKPOINTS))).toEqual(
      ["step-000005", "step-000040", "step-123456789"].slice(-keep),
    );
    expect(await newest(folder)).toEqual({ step: 123_456_789, said: [] });
  });

  it("are whole whichever call of the file system is the process's last", async () => {
    const counting = mortalDisk(Infinity);
    const counted = temporary();
    for (const step of [1, 2]) await save(counted, step);
    await save(counted, 3, counting);
    const calls = counting.calls();
    // files, folders, digests, renames and what goes
    expect(calls).toBeGreaterThan(15);
    for (const keep of [1, 2])
      for (let call = 1; call <= calls; call++) {
        const folder = temporary();
        for (const step of [1, 2]) await save(folder, step, node, keep);
        await expect(save(folder, 3, mortalDisk(call), keep), `call ${call}`).rejects.toThrow(Killed);
        const { step, said } = await newest(folder);
        expect([2, 3]).toContain(step);
        expect(said).toEqual([]);
        // and the next process writes as if nothing had been
        await save(folder, 4, node, keep);
        expect(await newest(folder)).toEqual({ step: 4, said: [] });
        expect(readdirSync(join(folder, CHECKPOINTS))).toHaveLength(keep);
      }
  });

  it("stay as they are where the disk is full", async () => {
    const folder = temporary();
    for (const step of [1, 2]) await save(folder, step);
    const full: Disk = {
      ...node,
      open: async (path, flags) => {
        const handle = await node.open(path, flags);
        handle.writeFile = async () => {
          throw Object.assign(new Error("ENOSPC: no space left on device, write"), {
            code: "ENOSPC",
            syscall: "write",
          });
        };
        return handle;
      },
    };
    await expect(save(folder, 3, full)).rejects.toThrow("ENOSPC");
    expect(readdirSync(join(folder, CHECKPOINTS))).toEqual(["step-000001", "step-000002"]);
    expect(await newest(folder)).toEqual({ step: 2, said: [] });
  });

  test.prop(
    [fc.constantFrom("state.json", "state.safetensors", "SHA256SUMS"), fc.nat(), fc.integer({ min: 1, max: 255 })],
    { numRuns: 30 },
  )("that are damaged are passed over with a line, for the one before", async (file, at, bits) => {
    const folder = temporary();
    for (const step of [1, 2]) await save(folder, step);
    const path = join(folder, CHECKPOINTS, "step-000002", file);
    const bytes = readFileSync(path);
    bytes[at % bytes.length]! ^= bits;
    writeFileSync(path, bytes);
    const { step, said } = await newest(folder);
    expect(step).toBe(1);
    expect(said).toEqual([expect.stringMatching(/^a saved state is damaged and is passed over: .*step-000002/)]);
  });

  it("are passed over where a file that grows beside them is shorter than it was", async () => {
    const folder = temporary();
    writeFileSync(join(folder, "metrics.csv"), "1\n");
    await open(folder).save(stateOf(1), noted(1, { "metrics.csv": 2 }));
    appendFileSync(join(folder, "metrics.csv"), "2\n");
    await open(folder).save(stateOf(2), noted(2, { "metrics.csv": 4 }));
    writeFileSync(join(folder, "metrics.csv"), "1\n2");
    expect(await newest(folder)).toEqual({
      step: 1,
      said: [expect.stringContaining("metrics.csv has lost lines that were written before it")],
    });
  });

  it("of another training are refused by name, and none is none", async () => {
    const folder = temporary();
    expect(await newest(folder)).toEqual({ step: undefined, said: [] });
    mkdirSync(join(folder, CHECKPOINTS));
    expect(await newest(folder)).toEqual({ step: undefined, said: [] });
    await new Checkpoints(folder, { identity: "another", keep: 2 }).save(stateOf(1), noted(1));
    await expect(newest(folder)).rejects.toThrow(InputError);
    await expect(newest(folder)).rejects.toThrow(/step-000001: is the state of another configuration/);
  });
});

describe("a state's JSON", () => {
  test.prop([fc.object({ values: [fc.double(), fc.integer(), fc.boolean(), fc.string(), fc.constant(null)] })])(
    "gives back every number as it was",
    (value) => {
      expect(fromText(toText(value), "state.json")).toEqual(value);
    },
  );
});
