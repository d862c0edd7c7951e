/** The server of `lowrank serve`: who may ask, what is answered, and that nothing outside the store is. */
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { request, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { servePage, type ServedPage } from "../src/serve/server.ts";
import { TableTail } from "../src/serve/tail.ts";
import type { WireComparison, WireDetail, WireRuns } from "../src/serve/page/wire.ts";
import { printed } from "./printed.ts";
import { writeSyntheticRun } from "./synthetic-store.ts";

const SECRET = "what nobody may read";
const small = { layers: 1, steps: 40 } as const;
let out: string;
let page: ServedPage;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "lowrank-serve-"));
  out = join(folder, "out");
  writeFileSync(join(folder, "secret.txt"), SECRET);
  for (const [i, config] of ["b-fp", "b-ada"].entries()) writeSyntheticRun(out, { config, seed: i, ...small });
  writeSyntheticRun(out, { config: "b-ada", seed: 7, ...small, at: { step: 12, state: "working" } });
  const evil = join(out, "runs", "<img src=x onerror=alert(1)>");
  mkdirSync(evil);
  symlinkSync(join(folder, "secret.txt"), join(evil, "config.json"));
  symlinkSync(folder, join(out, "runs", "up"));
  page = await servePage(out, 0);
});
afterAll(async () => {
  await page.close();
  rmSync(join(out, ".."), { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Without what `fetch` tidies up on the way. */
function ask(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port: page.port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    asked.on("error", reject).end();
  });
}

async function json<T>(path: string): Promise<T> {
  const { status, text } = await ask(path);
  expect({ path, status }).toEqual({ path, status: 200 });
  return JSON.parse(text) as T;
}

const keyOf = async (name: string): Promise<string> =>
  (await json<WireRuns>("/api/runs")).runs.find((run) => run.name.startsWith(name))!.key;

describe("who may ask", () => {
  const host = (name: string): Record<string, string> => ({ host: name.replace("PORT", String(page.port)) });

  it.each([
    ["127.0.0.1:PORT", 200],
    ["localhost:PORT", 200],
    ["evil.example", 403],
    ["evil.example:PORT", 403],
    ["127.0.0.1.evil.example:PORT", 403],
    ["127.0.0.1:1", 403],
    ["[::1]:PORT", 403],
  ])("as host %j: %i", async (name, status) => {
    for (const path of ["/", "/api/runs", "/style.css"])
      expect({ path, ...(await ask(path, host(name))) }).toMatchObject({ path, status });
  });

  it("not without a host", async () => {
    expect((await raw("GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")).status).toBe(403);
    expect((await raw("GET /api/runs HTTP/1.0\r\n\r\n")).status).toBe(403);
    expect((await raw("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")).status).toBe(400);
  });

  it.each([
    [{ origin: "http://evil.example" }, 403],
    [{ origin: "null" }, 403],
    [{ origin: "https://127.0.0.1:PORT" }, 403],
    [{ origin: "http://127.0.0.1:PORT" }, 200],
    [{ "sec-fetch-site": "cross-site" }, 403],
    [{ "sec-fetch-site": "same-site" }, 403],
    [{ "sec-fetch-site": "same-origin" }, 200],
  ] as [Record<string, string>, number][])("with %j: %i", async (headers, status) => {
    const said = Object.fromEntries(
      Object.entries(headers).map(([key, value]) => [key, value.replace("PORT", String(page.port))]),
    );
    for (const path of ["/api/runs", "/api/stream", "/page/main.ts"]) {
      if (status === 200 && path === "/api/stream") continue;
      expect({ path, ...(await ask(path, said)) }).toMatchObject({ path, status });
    }
  });

  it.each(["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])("not by %s", async (method) => {
    const { status, headers } = await ask("/api/runs", {}, method);
    expect({ status, allow: headers.allow }).toEqual({ status: 405, allow: "GET" });
  });

  it("listens on this machine alone, and says no other's name", async () => {
    expect(page.url).toBe(`http://127.0.0.1:${page.port}/`);
    // the whole address in the request line, as to a proxy
    expect((await ask("http://evil.example/api/runs")).status).toBe(400);
    expect((await ask(`http://127.0.0.1:${page.port}/api/runs`)).status).toBe(400);
  });

  it("says with every answer what a browser may do with it", async () => {
    for (const path of ["/", "/style.css", "/page/main.ts", "/api/runs", "/nothing", "/%2e"]) {
      const { headers } = await ask(path);
      expect(headers["content-security-policy"]).toContain("default-src 'none'; script-src 'self';");
      expect(headers["content-security-policy"]).not.toMatch(/unsafe|https?:|\*/);
      expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "cache-control": "no-store" });
      expect(headers["access-control-allow-origin"]).toBeUndefined();
    }
  });
});

describe("nothing outside the store", () => {
  const parts = fc.constantFrom(
    ..."/ \\ . .. ... ~ %2e %2E%2e %2f %5c %00 \0 ; ? # : ::$DATA // api run runs page compare stream up secret.txt result.json config.json style.css main.ts ../main.ts etc passwd".split(
      " ",
    ),
  );
  const path = fc.array(parts, { maxLength: 12 }).map((list) => `/${list.join("")}`);

  test.prop([path])("comes out, whatever the path", async (tricky) => {
    // as bytes on the wire: clients would refuse some of them
    const { status, body } = await raw(
      `GET ${tricky} HTTP/1.1\r\nHost: 127.0.0.1:${page.port}\r\nConnection: close\r\n\r\n`,
    );
    expect(body).not.toContain(SECRET);
    expect(body).not.toContain("root:");
    const known = ["/", "/style.css", "/page/main.ts", "/api/runs", "/api/stream"].includes(tricky.split("?")[0]!);
    expect(status === 200).toBe(known && /^[^?]*(\?[a-z]+=[A-Za-z0-9,]*)?$/.test(tricky));
  });

  test.prop([fc.string({ unit: "grapheme", maxLength: 40 })])("nor for any key", async (key) => {
    for (const what of ["run/", "compare/x/", "../", ""]) {
      const { status } = await ask(`/api/${what}${encodeURIComponent(key)}x`);
      expect([400, 404]).toContain(status);
    }
  });

  it("through links in the store", async () => {
    const { runs } = await json<WireRuns>("/api/runs");
    expect(runs.find(({ name }) => name === "up")).toMatchObject({ state: "foreign" });
    for (const { key } of runs) {
      const { text } = await ask(`/api/run/${key}`);
      expect(text).not.toContain(SECRET);
      expect(text).not.toContain("secret.txt");
    }
    expect(JSON.stringify(runs)).not.toContain(SECRET);
  });

  it("serves the scripts of the page and no other file of the program", async () => {
    const { text, headers } = await ask("/page/main.ts");
    expect(headers["content-type"]).toBe("text/javascript; charset=utf-8");
    expect(text).toContain('from "./run-view.ts"');
    expect(text).not.toContain("interface ");
    for (const path of ["/page/server.ts", "/page/tsconfig.json", "/page/main.js", "/page/", "/page"])
      expect([400, 404]).toContain((await ask(path)).status);
  });
});

/** A request as it is written. */
function raw(text: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect(page.port, "127.0.0.1", () => socket.write(text, "latin1"));
    let body = "";
    socket.setEncoding("utf8").on("data", (piece: string) => {
      body += piece;
      // a stream has no end
      if (body.includes("event: runs")) socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve({ status: Number(/^HTTP\/1\.1 (\d+)/.exec(body)?.[1]), body }));
  });
}

describe("answers", () => {
  it("lists all runs with states, and how metrics are read", async () => {
    const { runs, metrics } = await json<WireRuns>("/api/runs");
    expect(runs.map(({ state }) => state).sort()).toEqual(["finished", "finished", "foreign", "foreign", "working"]);
    expect(runs.map(({ key }) => /^[0-9a-f]{16}$/.test(key))).toEqual(runs.map(() => true));
    expect(metrics).toContainEqual({ name: "accuracy", label: "accuracy", better: "higher", share: true });
    // JSON is no HTML, whatever a name looks like
    expect((await ask("/api/runs")).headers["content-type"]).toBe("application/json; charset=utf-8");
  });

  it("tells all of a run, and two beside each other", async () => {
    const [a, b] = [await keyOf("b-fp"), await keyOf("b-ada-s1")];
    const detail = await json<WireDetail>(`/api/run/${b}`);
    expect(detail.config).toContainEqual(["method.initR", "12"]);
    expect(detail.proofs.map(({ holds }) => holds)).toEqual([true, true]);
    expect(detail.facts.map(({ label }) => label)).toContain("peak memory");
    const compared = await json<WireComparison>(`/api/compare/${a}/${b}`);
    expect(compared.config.filter(({ same }) => !same).map(({ key }) => key)).toContain("method.method");
    expect(compared.predictions?.items).toBe(20);
    expect(compared.predictions?.mcnemar?.p).toBeGreaterThan(0);
  });

  it("keeps a run's key when it is finished", async () => {
    const name = writeSyntheticRun(out, { config: "b-q4", seed: 3, ...small, at: { step: 12, state: "interrupted" } });
    const key = await keyOf("b-q4-s3");
    renameSync(join(out, "runs", `.work-${name}`), join(out, "runs", name));
    writeFileSync(
      join(out, "runs", name, "result.json"),
      JSON.stringify({ name, config: "b-q4", final: { loss: 1 }, steps: 12 }),
    );
    const split = { frozenWeights: 1, trainableWeights: 1, optimizerState: 1, activationsAndGradients: 1 };
    writeFileSync(
      join(out, "runs", name, "measures.json"),
      JSON.stringify({
        seconds: { total: 1, training: 1, perStep: 1 },
        memory: { arenaBytes: 1, persistentBytes: 1, peakRssBytes: 1, split },
      }),
    );
    expect((await json<WireRuns>("/api/runs")).runs.find((run) => run.key === key)).toMatchObject({
      state: "finished",
      loss: 1,
    });
  });
});

/** Events of a stream until `enough` of them came. */
function events(
  path: string,
  enough: (got: { event: string; data: any }[]) => boolean,
  act: () => void = () => {},
): Promise<{ event: string; data: any }[]> {
  return new Promise((resolve, reject) => {
    const got: { event: string; data: any }[] = [];
    let [rest, acted] = ["", false];
    const asked = request({ host: "127.0.0.1", port: page.port, path, agent: false }, (response) => {
      expect(response.headers["content-type"]).toBe("text/event-stream");
      response.setEncoding("utf8").on("data", (piece: string) => {
        const parts = (rest + piece).split("\n\n");
        rest = parts.pop()!;
        for (const part of parts) {
          const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? [];
          if (event !== undefined) got.push({ event, data: JSON.parse(data!) });
        }
        if (!acted && got.length > 0) {
          acted = true;
          act();
        }
        if (enough(got)) {
          asked.destroy();
          resolve(got);
        }
      });
    });
    asked
      .on("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNRESET" ? undefined : reject(error)))
      .end();
  });
}

describe("the stream", () => {
  it("sends what is there, then what a process that trains adds, then what is left after a cut", async () => {
    const name = writeSyntheticRun(out, { config: "b-fp", seed: 9, ...small, at: { step: 5, state: "working" } });
    const steps = join(out, "runs", `.work-${name}`, "steps.csv");
    const key = await keyOf("b-fp-s9");
    const rows = (got: { event: string; data: any }[]): any[] =>
      got.filter(({ event, data }) => event === "rows" && data.file === "steps.csv").map(({ data }) => data);
    const added = await events(
      `/api/stream?run=${key}`,
      (got) => rows(got).length === 2,
      () => appendFileSync(steps, "6,0.5,1,0.1,,,,,,,\n7,0.4"),
    );
    expect(rows(added)[0]).toMatchObject({ reset: true, every: 1 });
    expect(rows(added)[0].rows).toHaveLength(5);
    expect(rows(added)[1]).toMatchObject({
      reset: false,
      rows: [[6, 0.5, 1, 0.1, null, null, null, null, null, null, null]],
    });
    const last = added.filter(({ event }) => event === "runs").at(-1)!.data;
    expect(last.changed).toContainEqual(expect.objectContaining({ key, step: 6, loss: 0.5 }));

    const header = readFileSync(steps, "utf8").indexOf("\n") + 1;
    const cut = await events(
      `/api/stream?run=${key}`,
      (got) => rows(got).length === 2,
      () => {
        truncateSync(steps, header);
        appendFileSync(steps, "1,0.9,1,0.1,,,,,,,\n");
      },
    );
    expect(rows(cut)[1]).toMatchObject({ reset: true });
    expect(rows(cut)[1].rows).toHaveLength(1);
  });
});

describe("following a table", () => {
  it("notices that a file was cut and has grown beyond where it was", () => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-tail-"));
    const write = (lines: readonly string[]): void =>
      writeFileSync(join(folder, "t.csv"), ["step,loss", ...lines, ""].join("\n"));
    const tail = new TableTail("t.csv");
    expect(tail.next(folder)).toBeUndefined();
    write(["1,1", "2,0.5"]);
    expect(tail.next(folder)).toMatchObject({
      reset: true,
      rows: [
        [1, 1],
        [2, 0.5],
      ],
    });
    expect(tail.next(folder)).toBeUndefined();
    write(["1,1", "2,0.7", "3,0.4"]);
    expect(tail.next(folder)).toMatchObject({
      reset: true,
      rows: [
        [1, 1],
        [2, 0.7],
        [3, 0.4],
      ],
    });
    rmSync(folder, { recursive: true });
  });

  test.prop([
    fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constant("cut" as const), fc.constant("half" as const)), {
      maxLength: 20,
    }),
  ])("has what is in the file after any writing and cutting", (acts) => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-tail-"));
    const file = join(folder, "t.csv");
    const tail = new TableTail("t.csv");
    let [lines, seen, turn] = [[] as string[], [] as unknown[], 0];
    for (const act of acts) {
      turn++;
      if (act === "cut") lines = lines.slice(0, lines.length >> 1);
      else if (act !== "half")
        lines = [...lines, ...Array.from({ length: act }, (_, i) => `${lines.length + i},${turn}`)];
      writeFileSync(file, ["step,loss", ...lines, act === "half" ? "9,9" : ""].join("\n"));
      const got = tail.next(folder);
      if (got?.reset === true) seen = [];
      seen.push(...(got?.rows ?? []));
      expect(seen.map(String)).toEqual(lines);
    }
    rmSync(folder, { recursive: true });
  });
});

describe("the command", () => {
  it.each([
    [["serve", "--out", "/nowhere"], /^lowrank: --out \/nowhere: holds no runs/],
    [["serve", "--port", "70000"], /^lowrank: --port 70000: expected a whole number from 0 to 65535\n$/],
  ])("refuses %j", async (args, message) => {
    const { code, stderr } = await printed(...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it("says that a port is taken", async () => {
    const { code, stderr } = await printed("serve", "--out", out, "--port", String(page.port));
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: `lowrank: --port ${page.port}: is in use; give another one, or 0 for one that is free\n`,
    });
  });
});
