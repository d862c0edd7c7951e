/** A checkpoint in shards: the same tensors as in one file, whatever the cut; and an index that lies is one typed line. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import {
  encodeUtf8,
  fromBytes,
  FormatError,
  fromTensors,
  LowrankError,
  openShards,
  readTensor,
  serialize,
  type Files,
  type StoredTensor,
} from "../src/index.ts";

const INDEX = "model.safetensors.index.json";

/** Files in memory that count what is open. */
class Memory implements Files {
  readonly where = "memory";
  readonly content: Map<string, Uint8Array>;
  open_ = 0;
  most = 0;
  opened = 0;
  constructor(content: Record<string, Uint8Array | string>) {
    this.content = new Map(
      Object.entries(content).map(([name, c]) => [name, typeof c === "string" ? encodeUtf8(c) : c]),
    );
  }
  exists(name: string): Promise<boolean> {
    return Promise.resolve(this.content.has(name));
  }
  text(name: string): Promise<string> {
    return Promise.resolve(Buffer.from(this.content.get(name)!).toString("utf8"));
  }
  async open(name: string) {
    const bytes = this.content.get(name);
    if (bytes === undefined) throw new LowrankError("FileError", `${name}: there is no such file`);
    await Promise.resolve();
    this.opened++;
    this.most = Math.max(this.most, ++this.open_);
    let here = true;
    const { size, read } = fromBytes(bytes);
    return {
      size,
      read: async (begin: number, end: number) => {
        if (!here) throw new Error("read after close");
        await Promise.resolve();
        return read(begin, end);
      },
      close: () => {
        if (here) this.open_--;
        here = false;
        return Promise.resolve();
      },
    };
  }
}

const tensor = (...values: number[]): StoredTensor => ({
  dtype: "f32",
  shape: [values.length],
  data: Float32Array.from(values),
});

/** Shards of named tensors, with an index that says so. */
function sharded(
  shards: readonly Record<string, StoredTensor>[],
  change: (index: Record<string, any>) => void = () => {},
) {
  const file = (i: number): string => `model-${i + 1}.safetensors`;
  const index = {
    metadata: { total_size: shards.flatMap((s) => Object.values(s)).reduce((n, t) => n + t.data.byteLength, 0) },
    weight_map: Object.fromEntries(shards.flatMap((s, i) => Object.keys(s).map((name) => [name, file(i)]))),
  };
  change(index);
  return new Memory({
    ...Object.fromEntries(shards.map((s, i) => [file(i), serialize(s)])),
    [INDEX]: JSON.stringify(index),
  });
}

const TWO = [{ a: tensor(1, 2), b: tensor(3) }, { c: tensor(4, 5, 6) }];

describe("shards", () => {
  test.prop([fc.array(fc.tuple(fc.nat(11), fc.array(fc.float(), { maxLength: 5 })), { minLength: 1, maxLength: 40 })])(
    "hold what one file would hold, with at most four of them open, and none at the end",
    async (cut) => {
      const all = Object.fromEntries(cut.map(([, values], i) => [`t${i}`, tensor(...values)]));
      const shards = [...new Set(cut.map(([at]) => at))].map((at) =>
        Object.fromEntries(cut.flatMap(([home], i) => (home === at ? [[`t${i}`, all[`t${i}`]!]] : []))),
      );
      const files = sharded(shards);
      const source = await openShards(files);
      const one = fromTensors(all);
      expect([...source.names].sort()).toEqual([...one.names].sort());
      await Promise.all(
        one.names.map(async (name) => {
          expect(source.info(name)).toMatchObject(one.info(name));
          expect(await readTensor(source, name)).toEqual(await readTensor(one, name));
        }),
      );
      expect(files.most).toBeLessThanOrEqual(4);
      await source.close();
      expect(files.open_).toBe(0);
    },
  );

  it("stay open while they are read in turn", async () => {
    const files = sharded(TWO);
    const source = await openShards(files);
    for (const name of ["a", "c", "b", "c", "a"]) await source.range(name);
    expect(files.opened).toBe(2);
    expect([...(await source.range("c", 4, 8))]).toEqual([...new Uint8Array(Float32Array.of(5).buffer)]);
    await source.close();
  });

  it("say what else there is when a tensor is not", async () => {
    const source = await openShards(sharded(TWO));
    expect(() => source.info("d")).toThrow('memory: there is no tensor "d"; there are a, b, c');
    await expect(source.range("d")).rejects.toThrow(FormatError);
  });

  it("may hold more than the index names, under either count", async () => {
    for (const total of [24, 12]) {
      const files = sharded(TWO, (index) => {
        delete index["weight_map"].a;
        delete index["weight_map"].b;
        index["weight_map"] = { c: "model-2.safetensors", b: "model-1.safetensors" };
        index["metadata"].total_size = total === 24 ? 24 : 16;
      });
      expect((await openShards(files)).names).toEqual(["a", "b", "c"]);
    }
  });
});

describe("an index that is not of its shards is refused", () => {
  const refused = async (files: Memory, message: string | RegExp): Promise<void> => {
    const error = await openShards(files).then(
      () => new Error("taken"),
      (e: unknown) => e as Error,
    );
    expect(error).toBeInstanceOf(LowrankError);
    expect(error.message).toMatch(message);
    expect(error.message).not.toMatch(/\n|^internal/);
    expect(files.open_).toBe(0);
  };
  const changed = (change: (index: Record<string, any>) => void): Memory => sharded(TWO, change);

  it.each([
    "../model-1.safetensors",
    "/etc/model.safetensors",
    "a/../../b.safetensors",
    "a\\b.safetensors",
    "C:x.safetensors",
    "http://host/x.safetensors",
    "./model-1.safetensors",
    "a//b.safetensors",
    "%2e%2e/a.safetensors",
    "",
  ])("a name that leaves the folder: %s", (name) =>
    refused(
      changed((index) => {
        index["weight_map"].a = name;
      }),
      /a shard is a file inside the folder$/,
    ),
  );

  it("a shard that is a pickle", () =>
    refused(
      changed((index) => {
        index["weight_map"].a = "pytorch_model-1.bin";
      }),
      /shards that can be read are safetensors files/,
    ));

  it("a shard that is missing", async () => {
    const files = sharded(TWO);
    files.content.delete("model-2.safetensors");
    await refused(files, 'names "model-2.safetensors", which is not there');
  });

  it("a tensor that is not in its shard, or in another", async () => {
    await refused(
      changed((index) => {
        index["weight_map"].d = "model-1.safetensors";
      }),
      'tensor "d" is said to be in "model-1.safetensors", and is in no shard',
    );
    await refused(
      changed((index) => {
        index["weight_map"].c = "model-1.safetensors";
        index["weight_map"].a = "model-2.safetensors";
      }),
      /tensor "a" is said to be in "model-2.safetensors", and is in "model-1.safetensors"/,
    );
  });

  it("a tensor in two shards, or twice in the index", async () => {
    await refused(
      sharded([
        { a: tensor(1), x: tensor(2) },
        { a: tensor(1), y: tensor(3) },
      ]),
      'tensor "a" is in "model-1.safetensors" and in "model-2.safetensors"',
    );
    const files = sharded(TWO);
    files.content.set(
      INDEX,
      encodeUtf8(
        '{"weight_map": {"a": "model-1.safetensors", "b": "model-1.safetensors", "a": "model-2.safetensors"}}',
      ),
    );
    await refused(files, "has the same key twice");
  });

  it.each([[23], ["24"], [-1], [null]])("a wrong total size: %s", (total) =>
    refused(
      changed((index) => {
        index["metadata"].total_size = total;
      }),
      /"total_size" is .*, and the tensors have 24 bytes/,
    ),
  );

  it("a shard that is cut off, with its name", async () => {
    const files = sharded(TWO);
    files.content.set("model-2.safetensors", files.content.get("model-2.safetensors")!.slice(0, -1));
    await refused(files, /^memory\/model-2\.safetensors: safetensors: /);
  });

  it.each(["", "[]", "null", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": 1}}', "[[[["])(
    "no index at all: %s",
    async (content) => {
      const files = sharded(TWO);
      files.content.set(INDEX, encodeUtf8(content));
      await refused(files, INDEX);
    },
  );

  it("a shard that changes while it is read", async () => {
    const shards = Array.from({ length: 6 }, (_, i) => ({ [`t${i}`]: tensor(i) }));
    const files = sharded(shards);
    const source = await openShards(files);
    files.content.set("model-1.safetensors", new Uint8Array(3));
    await expect(source.range("t0")).rejects.toThrow(/model-1\.safetensors: has 3 bytes where it had \d+; it changed/);
    await source.close();
  });
});

describe("an index with bytes changed", () => {
  const sound = JSON.stringify({
    metadata: { total_size: 24 },
    weight_map: { a: "model-1.safetensors", b: "model-1.safetensors", c: "model-2.safetensors" },
  });
  const change = fc.record({
    at: fc.nat(sound.length),
    cut: fc.nat(8),
    put: fc.oneof(
      fc.string({ unit: "binary", maxLength: 4 }),
      fc.constantFrom(
        '"',
        "{",
        "}",
        "[",
        ",",
        ":",
        "..",
        "/",
        '"a"',
        "-1",
        "1e99",
        "null",
        "\\u0061",
        "__proto__",
        '"d":"model-2.safetensors",',
      ),
    ),
  });
  test.prop([fc.array(change, { minLength: 1, maxLength: 3 })], { numRuns: 3000 })(
    "is refused by one line, or read as it says",
    async (changes) => {
      let text = sound;
      for (const { at, cut, put } of changes) text = text.slice(0, at) + put + text.slice(at + cut);
      const files = sharded(TWO);
      files.content.set(INDEX, encodeUtf8(text));
      const source = await openShards(files).catch((error: unknown) => error as Error);
      expect(files.open_ === 0 || !(source instanceof Error)).toBe(true);
      if (source instanceof Error) {
        expect(source).toBeInstanceOf(LowrankError);
        expect(source.message).not.toMatch(/\n|^internal/);
        return;
      }
      // a naive reader: what the index names is in the shard that it names
      const { weight_map } = JSON.parse(text) as { weight_map: Record<string, string> };
      for (const [name, shard] of Object.entries(weight_map)) {
        const home = TWO[Number(/^model-(\d)/.exec(shard)![1]) - 1]!;
        expect(await readTensor(source, name)).toEqual((home as Record<string, StoredTensor>)[name]);
      }
      await source.close();
    },
  );
});
