/** MLflow's REST interface (mlflow.org/docs/latest/rest-api.html), as far as a run needs it: what is asked, and what answers mean for the next question. */
import { z } from "zod";
import { Closed, Later, Refused } from "../http/delivery.ts";
import { request, type Reply } from "../http/request.ts";
import type { MlflowServer } from "./server.ts";

/** What the server says that it cannot do. */
class ServerRefused extends Refused {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The run, as the server knows it. */
export interface KnownRun {
  readonly runId: string;
  /** Where its files lie. */
  readonly files: string;
}

export interface Metric {
  readonly key: string;
  /** Numbers that JSON does not have are words. */
  readonly value: number | string;
  readonly timestamp: number;
  readonly step: number;
}

export interface Pair {
  readonly key: string;
  readonly value: string;
}

export type RunState = "RUNNING" | "FINISHED" | "FAILED" | "KILLED";

const failure = z.object({ error_code: z.string().default(""), message: z.string().default("") });
const experiment = z.object({ experiment: z.object({ experiment_id: z.string() }) });
const created = z.object({ experiment_id: z.string() });
const info = z.object({ run_id: z.string(), artifact_uri: z.string().default("") });
const run = z.object({ run: z.object({ info }) });
const found = z.object({ runs: z.array(z.object({ info })).default([]) });

const ALREADY = "RESOURCE_ALREADY_EXISTS";
const ABSENT = "RESOURCE_DOES_NOT_EXIST";
/** Files that the server takes itself. */
const PROXIED = "mlflow-artifacts:";

export class MlflowClient {
  readonly #server: MlflowServer;

  constructor(server: MlflowServer) {
    this.#server = server;
  }

  /** The experiment of that name, which is made where there is none. Whoever makes it first makes it for all. */
  async experiment(name: string, signal: AbortSignal): Promise<string> {
    const known = async (): Promise<string> => {
      const query = new URLSearchParams({ experiment_name: name });
      return (await this.#ask("GET", `experiments/get-by-name?${query}`, undefined, experiment, signal)).experiment
        .experiment_id;
    };
    try {
      return await known();
    } catch (error) {
      if (!(error instanceof ServerRefused) || error.code !== ABSENT) throw error;
    }
    try {
      return (await this.#ask("POST", "experiments/create", { name }, created, signal)).experiment_id;
    } catch (error) {
      if (!(error instanceof ServerRefused) || error.code !== ALREADY) throw error;
      return known();
    }
  }

  /** The run that has this tag, if one has. */
  async find(experimentId: string, { key, value }: Pair, signal: AbortSignal): Promise<KnownRun | undefined> {
    const filter = `tags.\`${key}\` = '${value}'`;
    const body = { experiment_ids: [experimentId], filter, max_results: 1 };
    const { runs } = await this.#ask("POST", "runs/search", body, found, signal);
    return runs[0] === undefined ? undefined : knownRun(runs[0].info);
  }

  async create(
    experimentId: string,
    { name, startTime, tags }: { readonly name: string; readonly startTime: number; readonly tags: readonly Pair[] },
    signal: AbortSignal,
  ): Promise<KnownRun> {
    const body = { experiment_id: experimentId, run_name: name, start_time: startTime, tags };
    return knownRun((await this.#ask("POST", "runs/create", body, run, signal)).run.info);
  }

  async update(runId: string, status: RunState, endTime: number | undefined, signal: AbortSignal): Promise<void> {
    const body = { run_id: runId, status, ...(endTime === undefined ? {} : { end_time: endTime }) };
    await this.#ask("POST", "runs/update", body, z.unknown(), signal);
  }

  /** At most 1,000 metrics and 100 parameters, 1,000 in all. */
  async log(
    runId: string,
    what: { readonly metrics?: readonly Metric[]; readonly params?: readonly Pair[] },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#ask("POST", "runs/log-batch", { run_id: runId, ...what }, z.unknown(), signal);
  }

  /** Whether the server takes a run's files itself. */
  takesFiles({ files }: KnownRun): boolean {
    return files.startsWith(PROXIED);
  }

  async file({ files }: KnownRun, name: string, content: string | Uint8Array, signal: AbortSignal): Promise<void> {
    const folder = new URL(files).pathname.replace(/\/+$/, "");
    const url = this.#url(`mlflow-artifacts/artifacts${folder}/${encodeURIComponent(name)}`);
    const headers = { ...this.#server.headers, "content-type": "application/octet-stream" };
    this.#checked(await answer(request(url, { method: "PUT", headers, body: content, signal })));
  }

  async #ask<T>(
    method: "GET" | "POST",
    path: string,
    body: object | undefined,
    shape: z.ZodType<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const headers = { ...this.#server.headers, "content-type": "application/json" };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const reply = await answer(request(this.#url(`mlflow/${path}`), { method, headers, ...sent, signal }));
    this.#checked(reply);
    const parsed = shape.safeParse(json(reply.body));
    if (!parsed.success) throw new Closed(`${this.#server.shown} does not answer as MLflow does`);
    return parsed.data;
  }

  #url(path: string): URL {
    return new URL(`${this.#server.base}/api/2.0/${path}`);
  }

  #checked({ status, body, retryAfter }: Reply): void {
    if (status >= 200 && status < 300) return;
    const { shown } = this.#server;
    const parsed = failure.safeParse(json(body));
    const said = parsed.success && parsed.data.message !== "" ? `: ${parsed.data.message.slice(0, 200)}` : "";
    const message = `${shown} answers ${status}${said}`.replace(/\s+/g, " ");
    if (status === 408 || status === 429 || status >= 500) throw new Later(message, retryAfter);
    if (parsed.success && parsed.data.error_code !== "" && status !== 401 && status !== 403)
      throw new ServerRefused(parsed.data.error_code, message);
    if (status === 401 || status === 403)
      throw new Closed(`${message}; MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD, say who you are`);
    throw new Closed(`${message}; no MLflow server is there`);
  }
}

async function answer(reply: Promise<Reply>): Promise<Reply> {
  try {
    return await reply;
  } catch (error) {
    throw new Later((error as Error).message);
  }
}

function json(body: string): unknown {
  try {
    return JSON.parse(body === "" ? "{}" : body);
  } catch {
    return undefined;
  }
}

function knownRun({ run_id: runId, artifact_uri: files }: z.infer<typeof info>): KnownRun {
  return { runId, files };
}
