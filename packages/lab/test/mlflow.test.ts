/** The mlflow sink against a server that holds it to the protocol, and against one that is ill. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RunFacts, Sink } from "../src/records/sink.ts";
import { mlflow } from "../src/sinks/mlflow.ts";
import { mlflowServer } from "../src/sinks/mlflow/server.ts";
import { FakeMlflow } from "./fake-mlflow.ts";

let server: FakeMlflow;
let address: string;
const said: string[] = [];
beforeEach(async () => {
  server = new FakeMlflow();
  address = await server.open();
  said.length = 0;
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.close();
});

const config = {
  name: "lora",
  task: { name: "planted-rank" },
  method: { method: "lora", r: 4, target: ["query"] },
  train: Object.fromEntries(Array.from({ length: 130 }, (_, i) => [`word${i}`, i])),
} as never;
const facts = (name: string, resumed = 0): RunFacts => ({
  name,
  id: `id-of-${name}`,
  study: "study",
  config,
  seed: 3,
  steps: 9,
  resumed,
  metrics: ["accuracy"],
});
const open = (at = address): Sink =>
  mlflow.open({ folder: "", out: "", address: at, say: (line) => void said.push(line) });
const seconds = async (what: () => Promise<void> | void): Promise<number> => {
  const started = performance.now();
  await what();
  return (performance.now() - started) / 1000;
};

describe("the mlflow sink", () => {
  it("makes an experiment and a run, and sends settings, numbers and files", async () => {
    const sink = open();
    sink.start(facts("lora-s3"));
    sink.scalar(1, { loss: 0.5, "grad_norm/A": Number.NaN });
    sink.scalar(1, { eval_loss: 0.25, accuracy: 0.75, lr: 1, grad_norm: Number.POSITIVE_INFINITY });
    sink.scalar(2, { loss: Number.NEGATIVE_INFINITY, "rank/a.b[0]": 3 });
    sink.artifact("predictions.jsonl", "{}\n");
    await sink.finish("finished");
    expect([said, server.violations]).toEqual([[], []]);
    expect([...server.experiments.keys()]).toEqual(["study"]);
    const [run] = server.runs.values();
    expect(run).toMatchObject({ name: "lora-s3", states: ["RUNNING", "FINISHED"] });
    expect(run!.tags.get("lowrank.run")).toBe("id-of-lora-s3");
    expect(run!.params.size).toBe(137);
    expect(Object.fromEntries(run!.params)).toMatchObject({
      seed: "3",
      "method.target": '["query"]',
      "train.word129": "129",
    });
    expect(run!.metrics.map(({ key, value, step }) => [key, value, step])).toEqual([
      ["loss", 0.5, 1],
      ["grad_norm/A", "NaN", 1],
      ["eval_loss", 0.25, 1],
      ["accuracy", 0.75, 1],
      ["loss", "-Infinity", 2],
      ["rank/a.b_0_", 3, 2],
    ]);
    expect([...run!.files]).toEqual([["predictions.jsonl", "{}\n"]]);
  });

  it("keeps to what one request takes, and to the order", async () => {
    const sink = open();
    sink.start(facts("many"));
    const wide = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`rank/${i}`, i]));
    sink.scalar(1, wide);
    for (let step = 2; step <= 2000; step++) sink.scalar(step, { loss: step, lr: 0.5 });
    await sink.finish("finished");
    expect([said, server.violations]).toEqual([[], []]);
    const { metrics } = server.runs.get("run1")!;
    expect(metrics).toHaveLength(1500 + 2 * 1999);
    expect(metrics.map(({ step }) => step)).toEqual(metrics.map(({ step }) => step).sort((a, b) => a - b));
  });

  it("finds the run of an earlier attempt again, and others make their own", async () => {
    for (const [name, outcome] of [
      ["a", "interrupted"],
      ["b", "failed"],
      ["a", "finished"],
    ] as const) {
      const sink = open();
      sink.start(facts(name));
      sink.scalar(1, { loss: 1 });
      await sink.finish(outcome);
    }
    expect([said, server.violations]).toEqual([[], []]);
    expect([...server.runs.values()].map(({ name, states, metrics }) => [name, states, metrics.length])).toEqual([
      ["a", ["RUNNING", "KILLED", "RUNNING", "FINISHED"], 2],
      ["b", ["RUNNING", "FAILED"], 1],
    ]);
  });

  it("makes one experiment where several runs begin at once", async () => {
    const sinks = ["a", "b", "c"].map((name) => {
      const sink = open();
      sink.start(facts(name));
      return sink;
    });
    await Promise.all(sinks.map(async (sink) => sink.finish("finished")));
    expect([said, server.violations, server.experiments.size, server.runs.size]).toEqual([[], [], 1, 3]);
  });

  it("says who it is, by MLflow's variables, and which experiment it is for", async () => {
    vi.stubEnv("MLFLOW_TRACKING_URI", `${address}/`);
    vi.stubEnv("MLFLOW_TRACKING_TOKEN", "token");
    vi.stubEnv("MLFLOW_EXPERIMENT_NAME", "an experiment / of mine");
    server.authorization = "Bearer token";
    const sink = mlflow.open({ folder: "", out: "", say: (line) => void said.push(line) });
    sink.start(facts("a"));
    await sink.finish("finished");
    expect([said, server.violations, [...server.experiments.keys()]]).toEqual([[], [], ["an experiment / of mine"]]);
  });

  it("is told in one line what it may not, and tries no more", async () => {
    server.authorization = "Basic other";
    const sink = open();
    sink.start(facts("a"));
    await vi.waitFor(() => expect(said).toHaveLength(1), 5000);
    for (let step = 1; step < 4; step++) sink.scalar(step, { loss: 1 });
    const asked = server.requests;
    await sink.finish("finished");
    expect(server.requests).toBe(asked);
    expect(said[0]).toMatch(
      /^sink mlflow: http:\/\/127\S+ answers 401: who are you\?; MLFLOW_TRACKING_TOKEN, .*nothing is sent any more$/,
    );
    expect(said[1]).toMatch(/^sink mlflow: not delivered: 2 settings, 3 steps, 1 status \(/);
    expect(said).toHaveLength(2);
  });

  it("tells a server that is none of MLflow's", async () => {
    const sink = open(`${address}/elsewhere`);
    sink.start(facts("a"));
    await sink.finish("finished");
    expect(said[0]).toContain(`${address}/elsewhere answers 404`);
  });

  it("says once that files have to go elsewhere", async () => {
    server.proxied = false;
    const sink = open();
    sink.start(facts("a"));
    sink.artifact("a", "1");
    sink.artifact("b", "2");
    await sink.finish("finished");
    expect(said).toEqual([expect.stringContaining("keeps files at s3://bucket/run1/artifacts")]);
    expect(server.runs.get("run1")!.states).toEqual(["RUNNING", "FINISHED"]);
  });

  it.each(["silent", "cut", 429, 500] as const)(
    "of a server that is ill (%s) costs a moment at the end, and says what it lacks",
    async (illness) => {
      server.illness = illness;
      const sink = open();
      sink.start(facts("a"));
      for (let step = 1; step <= 3; step++) sink.scalar(step, { loss: step });
      // until it is known to be ill
      await vi.waitFor(() => expect(server.requests).toBeGreaterThan(0), 5000);
      await new Promise((resolve) => setTimeout(resolve, illness === "silent" ? 2100 : 100));
      expect(await seconds(() => sink.finish("finished"))).toBeLessThan(1);
      expect(said).toEqual([
        expect.stringMatching(
          /^sink mlflow: not delivered: 2 settings, 3 steps, 1 status \(.+\); the run's own files hold them$/,
        ),
      ]);
    },
  );

  it("of a server that is down costs nothing", async () => {
    await server.close();
    const sink = open();
    sink.start(facts("a"));
    expect(await seconds(() => sink.finish("finished"))).toBeLessThan(1);
    expect(said).toEqual([expect.stringContaining("(ECONNREFUSED)")]);
    await server.open();
  });

  it("sends everything once to a server that comes to itself", async () => {
    server.illness = 500;
    const sink = open();
    sink.start(facts("a"));
    sink.scalar(1, { loss: 1 });
    await vi.waitFor(() => expect(server.requests).toBeGreaterThan(0), 5000);
    server.illness = "cut";
    await vi.waitFor(() => expect(server.requests).toBeGreaterThan(1), 5000);
    server.illness = "none";
    await vi.waitFor(() => expect(server.runs.get("run1")?.metrics).toHaveLength(1), 10_000);
    await sink.finish("finished");
    expect([said, server.violations, server.runs.size]).toEqual([[], [], 1]);
  }, 30_000);
});

describe("the server of the mlflow sink", () => {
  const environment = {};
  it("is what was said, and who we are is in no message", () => {
    expect(mlflowServer("http://user:se%20cret@host:5000/prefix/", environment)).toEqual({
      base: "http://host:5000/prefix",
      shown: "http://host:5000/prefix",
      headers: { authorization: `Basic ${Buffer.from("user:se cret").toString("base64")}` },
    });
    const set = { MLFLOW_TRACKING_URI: "https://host", MLFLOW_TRACKING_USERNAME: "u", MLFLOW_TRACKING_PASSWORD: "p" };
    expect(mlflowServer(undefined, { ...set, MLFLOW_TRACKING_TOKEN: "t" })).toMatchObject({
      base: "https://host",
      headers: { authorization: `Basic ${Buffer.from("u:p").toString("base64")}` },
    });
  });

  it.each([
    [undefined, {}, "no server is named; say --sink mlflow=http://HOST:PORT or set MLFLOW_TRACKING_URI"],
    [
      undefined,
      { MLFLOW_TRACKING_URI: "sqlite:///mlflow.db" },
      "MLFLOW_TRACKING_URI: an address of a server is needed",
    ],
    ["", {}, "no server is named"],
    ["host:5000", {}, "--sink mlflow=host:5000: an address"],
    ["mlruns", {}, "an address of a server is needed, http://HOST:PORT"],
  ])("%s with %j is refused", (said, environment, message) => {
    expect(() => mlflowServer(said, environment)).toThrow(message);
  });
});
