/** What may not be looked at is not taken for absent: the system's own words are said, in one line. */
import { promises as fs, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { directory, init, LowrankError, type Device } from "@lowrank/tensor";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { fromPretrained, inspectCheckpoint, loadTokenizer } from "../src/index.ts";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-permission-"));
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true });
});

/** As the system fails; permissions themselves do not bind who is root. */
function failing(call: "stat" | "access" | "readdir", code: string): void {
  vi.spyOn(fs, call).mockImplementation(() =>
    Promise.reject(Object.assign(new Error(`${code}: ${call} fails`), { code })),
  );
}

const READERS = {
  fromPretrained: (from: string) => fromPretrained(from, { device }),
  inspectCheckpoint: (from: string) => inspectCheckpoint(from),
  loadTokenizer: (from: string) => loadTokenizer(from),
};

describe.each(Object.entries(READERS))("%s", (_, read) => {
  it.each(["EACCES", "EPERM", "EIO", "ELOOP"])("says %s as it is", async (code) => {
    for (const call of ["stat", "access", "readdir"] as const) {
      failing(call, code);
      const error = (await read(folder).catch((e: unknown) => e)) as LowrankError;
      expect(error).toBeInstanceOf(LowrankError);
      expect([error.code, error.message]).toEqual([
        "FileError",
        expect.stringMatching(new RegExp(`^${folder}[^\\n]*: cannot be (looked at|listed): ${code}: ${call} fails$`)),
      ]);
      vi.restoreAllMocks();
    }
  });

  it.each(["ENOENT", "ENOTDIR"])("takes %s for what is not there", async (code) => {
    failing("access", code);
    await expect(read(folder)).rejects.toThrow(
      /there is no(thing to look into: no config\.json| (config|tokenizer)\.json)/,
    );
  });
});

it("a directory tells what is not there from what it may not see", async () => {
  expect(await directory(join(folder, "nowhere")).exists("x")).toBe(false);
  await expect(directory(join(folder, "nowhere")).list!()).rejects.toThrow("nowhere: there is no such folder");
  failing("access", "EACCES");
  await expect(directory(folder).exists("x")).rejects.toThrow(`${folder}/x: cannot be looked at: EACCES`);
});
