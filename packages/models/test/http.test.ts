/** A checkpoint on a web server, good and bad, and in Blobs. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { init, LowrankError, type Device, type Files } from "@lowrank/tensor";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  blobs,
  fromPretrained,
  GPT2LMHeadModel,
  http,
  inspectCheckpoint,
  loadTokenizer,
  metaModel,
  savePretrained,
} from "../src/index.ts";
import { SMALL } from "./small-models.ts";
import { cutAfter, etagOf, sendFile, serve, type WebServer } from "./web-server.ts";

let device: Device;
let folder: string;
let server: WebServer;
const content = new Map<string, Uint8Array>();
/** Longer than what a small read brings along. */
const LONG = Uint8Array.from({ length: 700_000 }, (_, i) => (i * 2654435761) >>> 24);

beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-http-"));
  const model = metaModel(
    "GPT2LMHeadModel",
    SMALL["GPT2LMHeadModel"]!({ vocab: 11, heads: 2, width: 4, layers: 1, positions: 6 }),
  );
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, folder);
  server = await serve((asked, response) => {
    const bytes = content.get(asked.path);
    if (bytes !== undefined) return sendFile(asked, response, bytes);
    response.writeHead(404);
    response.end("no");
  });
});
beforeEach(() => {
  server.before = () => {};
  server.asked.length = 0;
  content.clear();
  for (const name of readdirSync(folder)) content.set(`/some dir/${name}`, readFileSync(join(folder, name)));
  content.set("/some dir/long", LONG);
  content.set("/some dir/empty", new Uint8Array());
});
afterAll(async () => {
  await server.close();
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const at = (options = {}): Files => http(`${server.url}/some dir`, options);
const fault = async (body: Promise<unknown>): Promise<LowrankError> => {
  const error = await body.then(
    () => new Error("none"),
    (e: unknown) => e as Error,
  );
  expect(error).toBeInstanceOf(LowrankError);
  return error as LowrankError;
};

async function valuesOf(from: string | Files): Promise<unknown[]> {
  const { model } = await fromPretrained(from, GPT2LMHeadModel, { device });
  const values = [];
  for (const [name, weight] of model.namedWeights()) values.push([name, (await weight.read()).data]);
  return values;
}

describe("a folder behind a URL", () => {
  it("gives the model that the folder gives, whether or not the server knows ranges", async () => {
    const want = await valuesOf(folder);
    expect(await valuesOf(at())).toEqual(want);
    expect(server.asked.some(({ range }) => range !== undefined)).toBe(true);
    expect(await valuesOf(http(`${server.url}/some%20dir/`))).toEqual(want);
    server.before = (asked, response) => {
      const bytes = content.get(asked.path);
      if (bytes !== undefined) sendFile(asked, response, bytes, { ranges: false });
      return bytes !== undefined;
    };
    expect(await valuesOf(at())).toEqual(want);
  });

  test.prop([fc.array(fc.tuple(fc.nat(LONG.length), fc.oneof(fc.nat(3), fc.nat(400_000))), { maxLength: 12 })], {
    numRuns: 10,
    examples: [[[[LONG.length, 0]]]],
  })("gives the bytes of every range", async (ranges) => {
    const file = await at().open("long");
    expect(file.size).toBe(LONG.length);
    for (const [from, length] of ranges) {
      const to = Math.min(LONG.length, from + length);
      expect(Buffer.compare(await file.read(from, to), LONG.subarray(from, to))).toBe(0);
    }
  });

  it("is asked once for what lies together", async () => {
    const file = await at().open("long");
    for (let i = 0; i < 100; i++) await file.read(1000 * i, 1000 * i + 900);
    expect(server.asked).toHaveLength(1);
  });

  it("knows what is there, and an empty file", async () => {
    const files = at();
    expect([await files.exists("config.json"), await files.exists("other.json"), await files.exists("empty")]).toEqual([
      true,
      false,
      true,
    ]);
    const empty = await files.open("empty");
    expect([empty.size, await empty.read(0, 0)]).toEqual([0, new Uint8Array()]);
    expect((await fault(files.open("other"))).message).toBe(
      `${server.url}/some%20dir/other: there is no such file (404)`,
    );
    expect((await fault(files.text("other"))).code).toBe("FileError");
  });

  it("is asked by GET where HEAD is not known, and a page in the place of a file is no file", async () => {
    server.before = ({ method }, response) => {
      if (method === "HEAD") response.writeHead(405).end();
      return method === "HEAD";
    };
    expect([await at().exists("long"), await at().exists("other")]).toEqual([true, false]);
    server.before = (_, response) => {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<html>");
      return true;
    };
    expect(await at().exists("config.json")).toBe(false);
    const page = "with a web page (content-type text/html): there is no such file, or it wants a login first";
    expect((await fault(at().open("config.json"))).message).toContain(`config.json: the server answers ${page}`);
    for (const reading of [() => fromPretrained(server.url, { device }), () => inspectCheckpoint(server.url)])
      expect((await fault(reading())).message).toContain(`the server answers config.json ${page}`);
    expect((await fault(loadTokenizer(server.url))).message).toContain(`the server answers tokenizer.json ${page}`);
  });

  it("follows redirects, with a range and without telling another origin a secret", async () => {
    const other = await serve((asked, response) => sendFile(asked, response, LONG));
    server.before = (asked, response) => {
      response.writeHead(302, { location: `${other.url}/x` }).end();
      return true;
    };
    const file = await at({ headers: { authorization: "Bearer secret" } }).open("long");
    expect(Buffer.compare(await file.read(300_000, 700_000), LONG.subarray(300_000))).toBe(0);
    expect(server.asked.every(({ authorization }) => authorization === "Bearer secret")).toBe(true);
    expect(other.asked.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
    await other.close();
  });

  it("says what the server wants, without the URL's own secrets", async () => {
    for (const status of [401, 403]) {
      server.before = (_, response) => {
        response.writeHead(status).end();
        return true;
      };
      const error = await fault(http(`${server.url}/some dir?key=hush`).exists("config.json"));
      expect(error.message).toMatch(new RegExp(`answers ${status}; give it what it wants as headers`));
      expect(error.message).not.toMatch(/hush/);
    }
    expect(server.asked.every(({ path }) => path === "/some dir/config.json?key=hush")).toBe(true);
    expect(() => http("http://")).toThrow(/is no URL/);
    expect(() => http(server.url, { header: {} } as never)).toThrow(/unknown key "header"/);
  });
});

describe("a file that changes while it is read is refused", () => {
  const other = Uint8Array.from(LONG, (v) => v ^ 1);
  it.each([
    ["by its etag", () => content.set("/some dir/long", other)],
    ["by its size", () => content.set("/some dir/long", LONG.subarray(1))],
    [
      "by its size alone",
      () => {
        server.before = (asked, response) => {
          sendFile(asked, response, LONG.subarray(1), { etag: "" });
          return true;
        };
      },
    ],
    [
      "by its date",
      () => {
        server.before = (asked, response) => {
          sendFile(asked, response, other, { etag: "", headers: { "last-modified": "Mon, 02 Jan 2023 00:00:00 GMT" } });
          return true;
        };
      },
    ],
    [
      "where ranges are no longer known",
      () => {
        server.before = (asked, response) => {
          sendFile(asked, response, LONG, { ranges: false });
          return true;
        };
      },
    ],
    [
      "where another range comes",
      () => {
        server.before = (asked, response) => {
          sendFile({ ...asked, range: "bytes=5-699999" }, response, LONG);
          return true;
        };
      },
    ],
  ])("%s", async (_, change) => {
    const files = at();
    const file = await files.open("long");
    change();
    const error = await fault(file.read(300_000, LONG.length));
    expect(error.code).toBe("FormatError");
    expect(error.message).toMatch(/long: changed on the server while it was read/);
  });

  it("by its etag when it is opened again", async () => {
    const files = at();
    await files.open("long");
    content.set("/some dir/long", other);
    expect((await fault(files.open("long"))).message).toMatch(/changed on the server/);
  });
});

describe("a bad way there", () => {
  it("is gone again from where it broke off", async () => {
    const file = await at().open("long");
    let cuts = 0;
    server.before = (asked, response) => {
      if (cuts++ >= 3) return false;
      const [, from] = /bytes=(\d+)/.exec(asked.range!)!;
      const rest = LONG.subarray(Number(from));
      const etag = { etag: etagOf(LONG) };
      cutAfter(
        response,
        rest,
        100_000,
        { ...etag, "content-range": `bytes ${from}-${LONG.length - 1}/${LONG.length}` },
        206,
      );
      return true;
    };
    expect(Buffer.compare(await file.read(300_000, 700_000), LONG.subarray(300_000))).toBe(0);
    const starts = server.asked.slice(1).map(({ range }) => Number(/bytes=(\d+)/.exec(range!)![1]));
    expect(starts[0]).toBe(300_000);
    expect(starts.at(-1)!).toBeGreaterThan(300_000);
    expect([...starts]).toEqual([...starts].sort((a, b) => a - b));
  });

  it("is tried again after what may pass, as soon as the server says", async () => {
    let times = 0;
    server.before = (_, response) => {
      if (times++ >= 2) return false;
      response.writeHead(times === 1 ? 503 : 429, { "retry-after": times === 1 ? "0" : "1" }).end();
      return true;
    };
    const start = performance.now();
    expect(await at().exists("config.json")).toBe(true);
    expect(performance.now() - start).toBeGreaterThan(950);
    server.before = (_, response) => {
      response.writeHead(429, { "retry-after": "3600" }).end();
      return true;
    };
    const error = await fault(at().exists("config.json"));
    expect([error.code, error.kind]).toEqual(["NetworkError", "environment"]);
    expect(error.message).toMatch(/the server answers 429, and wants to be asked again in 3600 s$/);
  });

  it("is given up after a few attempts, and when nobody answers", async () => {
    server.before = (_, response) => {
      response.writeHead(500, { "retry-after": "0" }).end();
      return true;
    };
    expect((await fault(at().text("config.json"))).message).toMatch(
      /the server answers 500 \(5 attempts\); try again later$/,
    );
    expect(server.asked).toHaveLength(5);
    const gone = await serve(() => {});
    await gone.close();
    expect((await fault(http(gone.url).exists("config.json"))).message).toMatch(/the connection failed: ECONNREFUSED/);
  });

  it("may be slow, but not silent", async () => {
    server.before = async (_, response) => {
      const text = JSON.stringify({ slow: true });
      response.writeHead(200, { "content-length": text.length });
      for (const letter of text) {
        response.write(letter);
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      response.end();
      return true;
    };
    expect(await at({ timeout: 150 }).text("config.json")).toBe('{"slow":true}');
    server.before = () => true;
    expect((await fault(at({ timeout: 50 }).text("config.json"))).message).toMatch(/no answer for 0\.05 s/);
  }, 20_000);

  it("is not silent because the program was busy", async () => {
    server.before = (_, response) => {
      setTimeout(() => {
        response.writeHead(200).end("{}");
        // the answer is on its way while nobody can take it
        const until = performance.now() + 300;
        while (performance.now() < until);
      }, 50);
      return true;
    };
    expect(await at({ timeout: 150 }).text("config.json")).toBe("{}");
    expect(server.asked).toHaveLength(1);
  });

  it("a text that is cut is never taken for a whole one", async () => {
    server.before = (_, response) => {
      cutAfter(response, Buffer.from("[1, 2, 3]"), 5);
      return true;
    };
    expect((await fault(at().text("config.json"))).code).toBe("NetworkError");
  });

  it("without ranges is bounded in memory", async () => {
    server.before = (asked, response) => {
      sendFile(asked, response, LONG, { ranges: false });
      return true;
    };
    expect((await fault(at({ wholeFile: 1000 }).open("long"))).message).toMatch(
      /knows no ranges, and the file is longer than the 1000 bytes that are read whole; use a server that does, or raise wholeFile$/,
    );
    server.before = (_, response) => {
      response.writeHead(200).end(LONG);
      return true;
    };
    expect((await fault(at({ wholeFile: 1000 }).open("long"))).message).toMatch(/knows no ranges/);
    expect((await at().open("long")).size).toBe(LONG.length);
  });

  it("where the total is hidden from other origins, HEAD says it", async () => {
    server.before = (asked, response) => {
      if (asked.method === "HEAD") return false;
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(asked.range!)!;
      response.writeHead(206).end(LONG.subarray(Number(from), Number(to) + 1));
      return true;
    };
    const file = await at().open("long");
    expect(file.size).toBe(LONG.length);
    expect(Buffer.compare(await file.read(300_000, 700_000), LONG.subarray(300_000))).toBe(0);
  });
});

describe("blobs", () => {
  const blob = (name: string): Blob => new Blob([readFileSync(join(folder, name))]);

  it("give the model that the folder gives: as a record, as files, as a picked folder, as handles", async () => {
    const want = await valuesOf(folder);
    const names = readdirSync(folder);
    const files = names.map((name) => new File([blob(name)], name));
    expect(await valuesOf(blobs(Object.fromEntries(names.map((name) => [name, blob(name)]))))).toEqual(want);
    expect(await valuesOf(blobs(files))).toEqual(want);
    const picked = files.map((file) => Object.assign(file, { webkitRelativePath: `bert/${file.name}` }));
    expect(await valuesOf(blobs(picked))).toEqual(want);
    expect(await blobs(picked).list!()).toEqual([...names].sort());
    expect(
      await valuesOf(
        blobs(files.map((file) => ({ name: file.name, getFile: () => Promise.resolve(new File([file], file.name)) }))),
      ),
    ).toEqual(want);
  });

  it("with one name, or none, are refused, and one that is not there is named", async () => {
    const file = (path: string): File =>
      Object.assign(new File([], path.split("/").at(-1)!), { webkitRelativePath: path });
    expect(() => blobs([file("a/x"), file("a/x")])).toThrow('two files are called "x"');
    expect(() => blobs([new Blob([])])).toThrow("a file has no name");
    const two = blobs([file("a/one/x"), file("a/y")]);
    expect(await two.list!()).toEqual(["one/x", "y"]);
    expect((await fault(two.open("z"))).message).toBe('the given files: there is no "z" among them');
  });
});
