/** The hub's paths over a real socket: the cache that Python uses, and no half file for a whole one, whatever happens on the way. */
import { createHash } from "node:crypto";
import { execFile } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { LowrankError } from "@lowrank/tensor";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { hub, type HubOptions, type HubProgress } from "../src/hub.ts";
import { cutAfter, sendFile, serve, type Asked, type WebServer } from "./web-server.ts";
import type { ServerResponse } from "node:http";

const ID = "org/tiny-model";
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const SMALL = Buffer.from('{"model_type": "bert"}');
const LARGE = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 2654435761) >>> 24);
const FILES: Record<string, Uint8Array> = {
  "config.json": SMALL,
  "model.safetensors": LARGE,
  "onnx/model.onnx": Buffer.from("x"),
};
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const gitId = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const [SMALL_ID, LARGE_ID] = [gitId(SMALL), sha256(LARGE)];

let server: WebServer;
let cdn: WebServer;
let cache: string;

beforeAll(async () => {
  cdn = await serve((asked, response) => sendFile(asked, response, LARGE, { etag: '"of the store"' }));
  server = await serve((asked, response) => {
    const [, id, revision, name] = /^\/(.+?)\/resolve\/(refs\/pr\/\d+|[^/]+)\/(.*)$/.exec(asked.path) ?? [];
    const no = (status: number, code: string, headers = {}): void =>
      void response.writeHead(status, { "x-error-code": code, ...headers }).end();
    if (id === "org/gated") return no(403, "GatedRepo");
    if (id !== ID) return no(asked.authorization === undefined ? 401 : 404, "RepoNotFound");
    if (revision !== "main" && revision !== COMMIT && revision !== "refs/pr/1") return no(404, "RevisionNotFound");
    const bytes = FILES[name!];
    const commit = { "x-repo-commit": COMMIT };
    if (bytes === undefined) return no(404, "EntryNotFound", commit);
    if (bytes !== LARGE) return sendFile(asked, response, bytes, { etag: `"${gitId(bytes)}"`, headers: commit });
    response.writeHead(302, {
      ...commit,
      location: `${cdn.url}/blob?sig=1`,
      "x-linked-etag": `"${LARGE_ID}"`,
      "x-linked-size": LARGE.length,
    });
    response.end();
  });
});
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "lowrank-hub-"));
  for (const one of [server, cdn]) {
    one.asked.length = 0;
    one.before = () => {};
  }
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true, force: true });
});
afterAll(async () => {
  await server.close();
  await cdn.close();
});

const tiny = (options: HubOptions = {}) => hub(ID, { endpoint: server.url, cache, ...options });
const model = (...path: string[]): string => join(cache, "models--org--tiny-model", ...path);
const blobsThere = (): string[] => (existsSync(model("blobs")) ? readdirSync(model("blobs")).sort() : []);
const fault = async (body: Promise<unknown>): Promise<LowrankError> => {
  const error = await body.then(
    () => new Error("none"),
    (e: unknown) => e as Error,
  );
  expect(error).toBeInstanceOf(LowrankError);
  expect(error.message).not.toMatch(/\n|secret/);
  return error as LowrankError;
};
async function bytesOf(files: ReturnType<typeof hub>, name: string): Promise<Uint8Array> {
  const file = await files.open(name);
  const bytes = await file.read(0, file.size);
  await file.close?.();
  return bytes;
}

describe("a model at the hub", () => {
  it("lies in the cache as huggingface_hub lays it, and is fetched once", async () => {
    const files = tiny();
    expect(JSON.parse(await files.text("config.json"))).toEqual({ model_type: "bert" });
    expect(Buffer.compare(await bytesOf(files, "model.safetensors"), LARGE)).toBe(0);
    await bytesOf(files, "onnx/model.onnx");
    expect(await files.exists("tokenizer.json")).toBe(false);
    expect(readFileSync(model("refs", "main"), "utf8")).toBe(COMMIT);
    expect(blobsThere()).toEqual([SMALL_ID, LARGE_ID, gitId(FILES["onnx/model.onnx"]!)].sort());
    const tree = model("snapshots", COMMIT);
    expect(readlinkSync(join(tree, "config.json"))).toBe(`../../blobs/${SMALL_ID}`);
    expect(readlinkSync(join(tree, "model.safetensors"))).toBe(`../../blobs/${LARGE_ID}`);
    expect(readlinkSync(join(tree, "onnx", "model.onnx"))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
    expect(readdirSync(tree).sort()).toEqual(["config.json", "model.safetensors", "onnx"]);
    expect(existsSync(model(".no_exist", COMMIT, "tokenizer.json"))).toBe(true);
    // from now on nobody is asked
    server.asked.length = 0;
    const again = tiny();
    expect(await again.text("config.json")).toBe(SMALL.toString());
    expect(Buffer.compare(await bytesOf(again, "model.safetensors"), LARGE)).toBe(0);
    expect([await again.exists("tokenizer.json"), await again.exists("config.json")]).toEqual([false, true]);
    expect(server.asked).toEqual([]);
    // unless it is wanted
    await tiny({ refresh: true }).text("config.json");
    expect(server.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `HEAD /${ID}/resolve/main/config.json`,
    ]);
  });

  it("is read by ranges and not kept, where that is said; what the cache has comes from there", async () => {
    const files = tiny({ ranges: true });
    const file = await files.open("model.safetensors");
    expect(file.size).toBe(LARGE.length);
    expect(Buffer.compare(await file.read(1_000_000, 1_000_016), LARGE.subarray(1_000_000, 1_000_016))).toBe(0);
    const ranges = cdn.asked.filter(({ method }) => method === "GET").map(({ range }) => /(\d+)-(\d+)/.exec(range!)!);
    expect(ranges.reduce((sum, [, from, to]) => sum + Number(to) - Number(from), 0)).toBeLessThan(600_000);
    expect([blobsThere(), cdn.asked.map(({ authorization }) => authorization)]).toEqual([
      [],
      cdn.asked.map(() => undefined),
    ]);
    await bytesOf(tiny(), "model.safetensors");
    server.asked.length = cdn.asked.length = 0;
    await bytesOf(tiny({ ranges: true }), "model.safetensors");
    expect([server.asked, cdn.asked]).toEqual([[], []]);
  });

  it("is of one commit, also when the branch moves between two files", async () => {
    const files = tiny();
    await files.text("config.json");
    await bytesOf(files, "model.safetensors");
    expect(server.asked.slice(1).every(({ path }) => path.includes(`/resolve/${COMMIT}/`))).toBe(true);
  });

  it("of a commit or another reference has its own place", async () => {
    await tiny({ revision: "refs/pr/1" }).text("config.json");
    expect(readFileSync(model("refs", "refs", "pr", "1"), "utf8")).toBe(COMMIT);
    await tiny({ revision: COMMIT }).text("config.json");
    expect(existsSync(model("refs", COMMIT))).toBe(false);
    expect((await fault(tiny({ revision: "v9" }).text("config.json"))).message).toMatch(/has no revision "v9" of it/);
  });

  it("is found through the environment", async () => {
    for (const [name, at] of [
      ["HF_HUB_CACHE", join(cache, "a")],
      ["HF_HOME", join(cache, "b")],
    ] as const) {
      vi.stubEnv("HF_HUB_CACHE", undefined);
      vi.stubEnv(name, at);
      vi.stubEnv("HF_ENDPOINT", `${server.url}/`);
      vi.stubEnv("HF_TOKEN", "secret");
      await hub(ID).text("config.json");
      expect(existsSync(join(at, name === "HF_HOME" ? "hub" : "", "models--org--tiny-model", "refs", "main"))).toBe(
        true,
      );
    }
    expect(server.asked.every(({ authorization }) => authorization === "Bearer secret")).toBe(true);
  });

  it("tells its token to the hub alone", async () => {
    await bytesOf(tiny({ token: "secret" }), "model.safetensors");
    expect(new Set(server.asked.map(({ authorization }) => authorization))).toEqual(new Set(["Bearer secret"]));
    expect(cdn.asked.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  it("tells how far it is", async () => {
    const seen: HubProgress[] = [];
    await bytesOf(tiny({ onProgress: (p) => void seen.push(p) }), "model.safetensors");
    expect(seen[0]).toEqual({ file: "model.safetensors", loaded: 0, total: LARGE.length });
    expect(seen.at(-1)).toEqual({ file: "model.safetensors", loaded: LARGE.length, total: LARGE.length });
    expect(seen.map((p) => p.loaded)).toEqual(seen.map((p) => p.loaded).sort((a, b) => a - b));
  });

  it("may be behind redirects of the hub's own, and a blob of another commit is not fetched again", async () => {
    server.before = (asked, response) => {
      if (!asked.path.includes("/resolve/")) return false;
      if (asked.path.includes("moved")) return false;
      const to = asked.path.replace("/resolve/", "/resolve/").replace(ID, "old/moved");
      response.writeHead(307, { location: to, "x-repo-commit": COMMIT }).end();
      return true;
    };
    const answer = (asked: Asked, response: ServerResponse): boolean => {
      if (asked.path.includes("moved"))
        sendFile(asked, response, SMALL, { etag: `W/"${SMALL_ID}"`, headers: { "x-repo-commit": COMMIT } });
      return asked.path.includes("moved");
    };
    const redirect = server.before;
    server.before = (asked, response) => answer(asked, response) || redirect(asked, response);
    expect(await tiny().text("config.json")).toBe(SMALL.toString());
    const before = server.asked.length;
    server.before = (asked, response) => {
      if (asked.method !== "HEAD") throw new Error("fetched");
      sendFile(asked, response, SMALL, { etag: `"${SMALL_ID}"`, headers: { "x-repo-commit": "f".repeat(40) } });
      return true;
    };
    expect(await tiny({ refresh: true }).text("config.json")).toBe(SMALL.toString());
    expect(server.asked.length).toBe(before + 1);
    expect(readdirSync(model("snapshots")).sort()).toEqual([COMMIT, "f".repeat(40)]);
  });
});

describe("offline", () => {
  it("takes what is there, finds nothing else, and says so", async () => {
    expect((await fault(tiny({ offline: true }).exists("config.json"))).message).toMatch(
      /no revision "main" of it is in the cache .*HF_HUB_OFFLINE/,
    );
    await tiny().text("config.json");
    server.asked.length = 0;
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const files = tiny();
    expect(await files.text("config.json")).toBe(SMALL.toString());
    expect(await files.exists("model.safetensors")).toBe(false);
    expect((await fault(files.open("model.safetensors"))).message).toMatch(
      /is not in the cache .*, and offline nobody is asked/,
    );
    expect(server.asked).toEqual([]);
  });
});

describe("what the hub refuses is one line", () => {
  it.each([
    [
      "org/none",
      {},
      /^org\/none: http.* has no model of that name, or not for everybody: then it needs a token \(HF_TOKEN\)$/,
    ],
    ["org/none", { token: "secret" }, /has no model of that name that this token may read$/],
    ["org/gated", {}, /agreed to its terms there, with their token/],
  ])("%s %o", async (id, options, message) => {
    const error = await fault(hub(id, { endpoint: server.url, cache, ...options }).exists("config.json"));
    expect([error.code, error.message]).toEqual(["FileError", expect.stringMatching(message)]);
  });

  it("a file that is not there, and names that lead elsewhere", async () => {
    expect((await fault(tiny().open("model.bin"))).message).toBe(`${ID}/model.bin: there is no such file`);
    for (const name of ["../x", "/etc/passwd", "a//b", "a\\b", ""])
      expect((await fault(tiny().open(name))).message).toMatch(/is no name of a file within a model/);
    for (const id of ["a/b/c", "../x", "a/..", "", "a b", "https://x", "a--b/c"])
      expect(() => hub(id)).toThrow(/is no name of a model/);
    expect(() => hub(ID, { revision: "../x" })).toThrow(/is no revision/);
    expect(() => hub(ID, { cacheDir: "x" } as never)).toThrow(/unknown key "cacheDir"/);
  });

  it("a server that is no hub", async () => {
    server.before = (asked, response) => {
      sendFile(asked, response, SMALL);
      return true;
    };
    expect((await fault(tiny().text("config.json"))).message).toMatch(
      /does not say of which commit it is \(x-repo-commit\); is the endpoint a hub\?/,
    );
    server.before = (asked, response) => {
      sendFile(asked, response, SMALL, { etag: '"../../../escape"', headers: { "x-repo-commit": COMMIT } });
      return true;
    };
    expect((await fault(tiny().text("config.json"))).message).toMatch(/does not say its etag/);
  });

  it("a cache that cannot be written", async () => {
    writeFileSync(join(cache, "file"), "");
    expect((await fault(tiny({ cache: join(cache, "file") }).text("config.json"))).message).toMatch(
      /cannot be written into the cache/,
    );
  });
});

/** Nothing but whole blobs under the names of blobs. */
function onlyWhole(): void {
  for (const name of blobsThere()) {
    if (name.endsWith(".incomplete")) continue;
    const bytes = readFileSync(model("blobs", name));
    expect([sha256(bytes), gitId(bytes)]).toContain(name);
  }
}

describe("on a bad way", () => {
  it("a connection that is cut is taken up where it was", async () => {
    let cuts = 0;
    cdn.before = (asked, response) => {
      if (cuts++ > 2) return false;
      const from = Number(/bytes=(\d+)/.exec(asked.range ?? "bytes=0")![1]);
      const range = { "content-range": `bytes ${from}-${LARGE.length - 1}/${LARGE.length}` };
      cutAfter(response, LARGE.subarray(from), 500_000, range, asked.range === undefined ? 200 : 206);
      return true;
    };
    expect(Buffer.compare(await bytesOf(tiny(), "model.safetensors"), LARGE)).toBe(0);
    expect(cdn.asked[0]!.range).toBeUndefined();
    expect(cdn.asked.slice(1).every(({ range }) => Number(/bytes=(\d+)-$/.exec(range!)![1]) > 0)).toBe(true);
    expect(blobsThere()).toEqual([LARGE_ID]);
  });

  it("what came before it was given up is used the next time, by a server with or without ranges", async () => {
    for (const ranges of [true, false]) {
      rmSync(model(), { recursive: true, force: true });
      cdn.before = (asked, response) => {
        if (asked.range === undefined) cutAfter(response, LARGE, 1_000_000);
        else response.writeHead(503, { "retry-after": "0" }).end();
        return true;
      };
      const error = await fault(bytesOf(tiny(), "model.safetensors"));
      expect([error.code, error.message]).toEqual([
        "NetworkError",
        expect.stringMatching(/answers 503 \(5 attempts\)/),
      ]);
      expect(blobsThere()).toEqual([`${LARGE_ID}.left.incomplete`]);
      expect(existsSync(model("snapshots", COMMIT, "model.safetensors"))).toBe(false);
      const got = lstatSync(model("blobs", `${LARGE_ID}.left.incomplete`)).size;
      expect(got).toBeGreaterThan(0);
      cdn.asked.length = 0;
      cdn.before = (asked, response) => {
        sendFile(asked, response, LARGE, { ranges });
        return true;
      };
      expect(Buffer.compare(await bytesOf(tiny(), "model.safetensors"), LARGE)).toBe(0);
      expect(cdn.asked.map(({ range }) => range)).toEqual([`bytes=${got}-`]);
      expect(blobsThere()).toEqual([LARGE_ID]);
    }
  });

  it.each([
    [
      "a bit is wrong",
      (): Uint8Array => LARGE.map((v, i) => (i === 1_234_567 ? v ^ 1 : v)),
      /hash to [0-9a-f]{64}, and the hub says/,
    ],
    [
      "bytes are missing",
      (): Uint8Array => LARGE.subarray(1),
      /the connection ended after 2999999 of 3000000 bytes|answers 416/,
    ],
    [
      "bytes are too many",
      (): Uint8Array => Buffer.concat([LARGE, Buffer.from("x")]),
      /more than its 3000000 bytes came/,
    ],
  ])("where %s nothing is taken", async (_, wrong, message) => {
    cdn.before = (asked, response) => {
      sendFile(asked, response, wrong());
      return true;
    };
    expect((await fault(bytesOf(tiny(), "model.safetensors"))).message).toMatch(message);
    onlyWhole();
    expect(existsSync(model("snapshots", COMMIT, "model.safetensors"))).toBe(false);
    cdn.before = () => {};
    expect(Buffer.compare(await bytesOf(tiny(), "model.safetensors"), LARGE)).toBe(0);
    expect(blobsThere()).toEqual([LARGE_ID]);
  });

  it("a small file that is wrong is found out by git's hash", async () => {
    server.before = (asked, response) => {
      sendFile(asked, response, asked.method === "HEAD" ? SMALL : Buffer.from('{"model_type": "gpt2"}'), {
        etag: `"${SMALL_ID}"`,
        headers: { "x-repo-commit": COMMIT },
      });
      return true;
    };
    expect((await fault(tiny().text("config.json"))).message).toMatch(/hash to [0-9a-f]{40}, and the hub says/);
  });

  it("leftovers that are wrong or too long are thrown away", async () => {
    for (const left of [Buffer.from("wrong"), Buffer.concat([LARGE, LARGE])]) {
      rmSync(model(), { recursive: true, force: true });
      mkdirSync(model("blobs"), { recursive: true });
      writeFileSync(model("blobs", `${LARGE_ID}.left.incomplete`), left);
      expect(Buffer.compare(await bytesOf(tiny(), "model.safetensors"), LARGE)).toBe(0);
      expect(blobsThere()).toEqual([LARGE_ID]);
    }
  });

  it("429 is waited for, and 401, 403, 500 in the middle are said", async () => {
    let times = 0;
    server.before = (_, response) => {
      if (times++ > 0) return false;
      response.writeHead(429, { "retry-after": "1" }).end();
      return true;
    };
    const start = performance.now();
    await tiny().text("config.json");
    expect(performance.now() - start).toBeGreaterThan(950);
    for (const status of [401, 403]) {
      cdn.before = (_, response) => {
        response.writeHead(status).end();
        return true;
      };
      expect((await fault(bytesOf(tiny(), "model.safetensors"))).message).toMatch(`the server answers ${status}`);
      onlyWhole();
    }
  });

  it("a slow server is borne, a silent one is not", async () => {
    cdn.before = async (_, response) => {
      response.writeHead(200, { "content-length": LARGE.length });
      for (let at = 0; at < LARGE.length; at += 300_000) {
        response.write(LARGE.subarray(at, at + 300_000));
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
      response.end();
      return true;
    };
    expect(Buffer.compare(await bytesOf(tiny({ timeout: 200 }), "model.safetensors"), LARGE)).toBe(0);
    rmSync(model(), { recursive: true });
    cdn.before = () => true;
    expect((await fault(bytesOf(tiny({ timeout: 40 }), "model.safetensors"))).message).toMatch(/no answer for 0\.04 s/);
  });
});

describe("two at once", () => {
  const child = promisify(execFile);
  const script = `
    import { hub } from ${JSON.stringify(join(import.meta.dirname, "../src/hub.ts"))};
    import { createHash } from "node:crypto";
    const file = await hub(${JSON.stringify(ID)}, { endpoint: process.argv[1], cache: process.argv[2] }).open("model.safetensors");
    console.log(createHash("sha256").update(await file.read(0, file.size)).digest("hex"));
    await file.close();`;
  const run = (): Promise<{ stdout: string }> =>
    child(
      process.execPath,
      ["--import", "tsx", "--conditions", "@lowrank/source", "--input-type=module", "-e", script, server.url, cache],
      { cwd: join(import.meta.dirname, "../../..") },
    );
  /** The CDN takes its time. */
  const slowly = async (asked: Asked, response: ServerResponse): Promise<boolean> => {
    const from = Number(/bytes=(\d+)/.exec(asked.range ?? "bytes=0")![1]);
    const rest = LARGE.subarray(from);
    response.writeHead(asked.range === undefined ? 200 : 206, {
      "content-length": rest.length,
      "content-range": `bytes ${from}-${LARGE.length - 1}/${LARGE.length}`,
    });
    for (let at = 0; at < rest.length && !response.destroyed; at += 200_000) {
      response.write(rest.subarray(at, at + 200_000));
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    response.end();
    return true;
  };

  it("within a process are one download", async () => {
    const all = await Promise.all([1, 2, 3].map(() => bytesOf(tiny(), "model.safetensors")));
    for (const bytes of all) expect(Buffer.compare(bytes, LARGE)).toBe(0);
    expect(cdn.asked).toHaveLength(1);
  });

  it("in two processes both get the whole file, and no draft is left", async () => {
    cdn.before = slowly;
    const both = await Promise.all([run(), run()]);
    expect(both.map(({ stdout }) => stdout.trim())).toEqual([LARGE_ID, LARGE_ID]);
    expect(blobsThere()).toEqual([LARGE_ID]);
  });

  it("a process that is killed leaves its bytes to the next", async () => {
    cdn.before = slowly;
    const first = run();
    const killed = first.catch((error: unknown) => error);
    await vi.waitFor(
      () => {
        const draft = blobsThere().find((name) => name.endsWith(".incomplete"));
        expect(lstatSync(model("blobs", draft!)).size).toBeGreaterThan(500_000);
      },
      { timeout: 30_000, interval: 20 },
    );
    (first as unknown as { child: { kill(signal: string): void } }).child.kill("SIGKILL");
    await killed;
    onlyWhole();
    expect(blobsThere()).not.toContain(LARGE_ID);
    cdn.before = () => {};
    cdn.asked.length = 0;
    expect(Buffer.compare(await bytesOf(tiny(), "model.safetensors"), LARGE)).toBe(0);
    expect(Number(/bytes=(\d+)-/.exec(cdn.asked[0]!.range!)![1])).toBeGreaterThanOrEqual(500_000);
    expect(blobsThere()).toEqual([LARGE_ID]);
  });
});
