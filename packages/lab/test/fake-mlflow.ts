/**
 * An MLflow server that takes what the documentation says and nothing else (mlflow.org/docs/latest/rest-api.html): unknown fields, missing ones, limits and the order of
 * things are held to. It can be told to be ill.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { z } from "zod";

/** What is wrong with it: nothing answers, an error is answered, or the connection is cut half-way. */
export type Illness = "none" | "silent" | "cut" | 429 | 500;

const pair = z.strictObject({
  key: z
    .string()
    .min(1)
    .max(250)
    .regex(/^[\w\-./ :]+$/),
  value: z.string().max(6000),
});
const metric = z.strictObject({
  key: pair.shape.key,
  value: z.union([z.number(), z.enum(["NaN", "Infinity", "-Infinity"])]),
  timestamp: z.number().int().positive(),
  step: z.number().int(),
});
const BODIES = {
  "experiments/create": z.strictObject({ name: z.string().min(1) }),
  "runs/search": z.strictObject({
    experiment_ids: z.array(z.string()).min(1),
    filter: z.string(),
    max_results: z.number().int().min(1).max(50_000),
  }),
  "runs/create": z.strictObject({
    experiment_id: z.string(),
    run_name: z.string(),
    start_time: z.number().int(),
    tags: z.array(pair).max(100),
  }),
  "runs/update": z.strictObject({
    run_id: z.string(),
    status: z.enum(["RUNNING", "FINISHED", "FAILED", "KILLED"]),
    end_time: z.number().int().optional(),
  }),
  "runs/log-batch": z.strictObject({
    run_id: z.string(),
    metrics: z.array(metric).max(1000).default([]),
    params: z.array(pair).max(100).default([]),
    tags: z.array(pair).max(100).default([]),
  }),
};

export interface FakeRun {
  readonly id: string;
  readonly experiment: string;
  readonly name: string;
  readonly tags: Map<string, string>;
  readonly params: Map<string, string>;
  readonly metrics: z.infer<typeof metric>[];
  readonly files: Map<string, string>;
  /** Every status that it has had. */
  readonly states: string[];
}

class Failure extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    [this.status, this.code] = [status, code];
  }
}

export class FakeMlflow {
  readonly experiments = new Map<string, string>();
  readonly runs = new Map<string, FakeRun>();
  /** What was refused as no right question; empty where the client keeps to the protocol. */
  readonly violations: string[] = [];
  illness: Illness = "none";
  /** Seconds to say with 429. */
  retryAfter: number | undefined;
  /** What Authorization has to be. */
  authorization: string | undefined;
  /** Whether it takes files itself. */
  proxied = true;
  requests = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor() {
    this.#server = createServer((request, response) => void this.#take(request, response));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests++;
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts).toString("utf8");
    if (this.illness === "silent") return;
    if (this.illness === "cut") {
      response.writeHead(200, { "content-length": "1000" }).write("{");
      setTimeout(() => request.socket.destroy(), 1);
      return;
    }
    if (typeof this.illness === "number") {
      const after = this.retryAfter === undefined ? {} : { "retry-after": String(this.retryAfter) };
      response.writeHead(this.illness, after).end("<html>ill</html>");
      return;
    }
    try {
      if (this.authorization !== undefined && request.headers.authorization !== this.authorization)
        throw new Failure(401, "UNAUTHENTICATED", "who are you?");
      const url = new URL(request.url!, "http://fake");
      const answer = this.#answer(request.method!, url, body);
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    } catch (error) {
      const { status, code, message } =
        error instanceof Failure ? error : new Failure(400, "INVALID_PARAMETER_VALUE", (error as Error).message);
      if (code === "INVALID_PARAMETER_VALUE") this.violations.push(`${request.method} ${request.url}: ${message}`);
      response.writeHead(status).end(JSON.stringify({ error_code: code, message }));
    }
  }

  #answer(method: string, { pathname, searchParams }: URL, body: string): object {
    const file = /^\/api\/2\.0\/mlflow-artifacts\/artifacts\/(\d+)\/(\w+)\/artifacts\/(.+)$/.exec(pathname);
    if (method === "PUT" && file !== null && this.proxied) {
      this.#run(file[2]!).files.set(decodeURIComponent(file[3]!), body);
      return {};
    }
    const path = /^\/api\/2\.0\/mlflow\/(.+)$/.exec(pathname)?.[1];
    if (method === "GET" && path === "experiments/get-by-name") {
      if ([...searchParams.keys()].join() !== "experiment_name") throw new Error("unknown parameters");
      const name = searchParams.get("experiment_name")!;
      const id = this.experiments.get(name);
      if (id === undefined) throw new Failure(404, "RESOURCE_DOES_NOT_EXIST", `no experiment ${name}`);
      return { experiment: { experiment_id: id, name, lifecycle_stage: "active" } };
    }
    if (method !== "POST" || path === undefined || !Object.hasOwn(BODIES, path))
      throw new Failure(404, "ENDPOINT_NOT_FOUND", pathname);
    const parse = <K extends keyof typeof BODIES>(key: K): z.infer<(typeof BODIES)[K]> =>
      BODIES[key].parse(JSON.parse(body)) as never;
    switch (path as keyof typeof BODIES) {
      case "experiments/create": {
        const { name } = parse("experiments/create");
        if (this.experiments.has(name)) throw new Failure(400, "RESOURCE_ALREADY_EXISTS", name);
        this.experiments.set(name, String(this.experiments.size + 1));
        return { experiment_id: this.experiments.get(name)! };
      }
      case "runs/search": {
        const { experiment_ids: ids, filter } = parse("runs/search");
        const [, key, value] = /^tags\.`([\w.]+)` = '([^']*)'$/.exec(filter) ?? [];
        if (key === undefined) throw new Error(`filter ${filter}`);
        const found = [...this.runs.values()].filter((r) => ids.includes(r.experiment) && r.tags.get(key) === value);
        // no field at all where there is none
        return found.length === 0 ? {} : { runs: found.map((r) => this.#shown(r)) };
      }
      case "runs/create": {
        const { experiment_id: experiment, run_name: name, tags } = parse("runs/create");
        if (![...this.experiments.values()].includes(experiment))
          throw new Failure(404, "RESOURCE_DOES_NOT_EXIST", experiment);
        const id = `run${this.runs.size + 1}`;
        const run: FakeRun = {
          id,
          experiment,
          name,
          tags: new Map(tags.map((tag) => [tag.key, tag.value])),
          params: new Map(),
          metrics: [],
          files: new Map(),
          states: ["RUNNING"],
        };
        this.runs.set(id, run);
        return { run: this.#shown(run) };
      }
      case "runs/update": {
        const { run_id: id, status } = parse("runs/update");
        this.#run(id).states.push(status);
        return { run_info: this.#shown(this.#run(id)).info };
      }
      case "runs/log-batch": {
        const { run_id: id, metrics, params, tags } = parse("runs/log-batch");
        if (metrics.length + params.length + tags.length > 1000) throw new Error("more than 1000");
        if (body.length > 1e6) throw new Error("more than 1 MB");
        const run = this.#run(id);
        if (run.states.at(-1) !== "RUNNING") throw new Error(`run ${id} is ${run.states.at(-1)}`);
        for (const { key, value } of params) {
          if ((run.params.get(key) ?? value) !== value) throw new Error(`parameter ${key} is changed`);
          run.params.set(key, value);
        }
        run.metrics.push(...metrics);
        return {};
      }
    }
  }

  #run(id: string): FakeRun {
    const run = this.runs.get(id);
    if (run === undefined) throw new Failure(404, "RESOURCE_DOES_NOT_EXIST", `no run ${id}`);
    return run;
  }

  #shown({ id, experiment, name, states }: FakeRun): { info: object } {
    const files = this.proxied ? `mlflow-artifacts:/${experiment}/${id}/artifacts` : `s3://bucket/${id}/artifacts`;
    return { info: { run_id: id, run_name: name, status: states.at(-1), artifact_uri: files } };
  }
}
