/**
 * MLflow over its REST interface: an experiment for the study, a run for each run, found again by its id when it goes on. Settings are parameters, numbers are metrics
 * under their own names; files go where the server takes them itself.
 */
import type { RunFacts, SinkRecord } from "../records/sink.ts";
import { Closed, Delivery, Refused } from "./http/delivery.ts";
import type { KnownRun, Metric, MlflowClient, Pair, RunState } from "./mlflow/client.ts";
import { mlflowServer } from "./mlflow/server.ts";
import { freshValues, parametersOf } from "./parameters.ts";

/** What is sent. The kinds are words of messages. */
type Item =
  | { readonly kind: "settings"; readonly params: readonly Pair[] }
  | {
      readonly kind: "steps";
      readonly values: readonly (readonly [string, number])[];
      readonly step: number;
      readonly timestamp: number;
    }
  | { readonly kind: "files"; readonly name: string; readonly content: string | Uint8Array }
  | { readonly kind: "status"; readonly state: RunState; readonly at: number };

/** The tag that a run is found by. */
const ID = "lowrank.run";
/** Of one request. */
const [MOST_METRICS, MOST_PARAMS] = [1000, 100];
/** What servers of any age take. */
const LONGEST_VALUE = 500;
const LONGEST_KEY = 250;
const STATES = { finished: "FINISHED", failed: "FAILED", interrupted: "KILLED" } as const;

export const mlflow: SinkRecord = {
  name: "mlflow",
  address: "http://HOST:PORT (default: MLFLOW_TRACKING_URI)",
  check: (address) => void mlflowServer(address),
  open({ address, say: sayAll }) {
    const server = mlflowServer(address);
    const say = (line: string): void => sayAll(`sink mlflow: ${line}`);
    const began = Date.now();
    let facts: RunFacts | undefined;
    let client: MlflowClient | undefined;
    let known: KnownRun | undefined;
    let told = false;

    /** Loaded where it is needed: whoever asks for `--help` is not to wait for it. */
    const connected = async (): Promise<MlflowClient> => {
      const { MlflowClient } = await import("./mlflow/client.ts");
      return (client ??= new MlflowClient(server));
    };
    /** Found or made before anything else is sent, and again where that failed. */
    const runOf = async (client: MlflowClient, signal: AbortSignal): Promise<KnownRun> => {
      if (known !== undefined) return known;
      const { study, name, id } = facts!;
      try {
        const experiment = await client.experiment(process.env["MLFLOW_EXPERIMENT_NAME"] || study, signal);
        const tag = { key: ID, value: id };
        const before = await client.find(experiment, tag, signal);
        if (before !== undefined) await client.update(before.runId, "RUNNING", undefined, signal);
        const tags = [tag, { key: "mlflow.source.name", value: "lowrank" }];
        known = before ?? (await client.create(experiment, { name, startTime: began, tags }, signal));
        return known;
      } catch (error) {
        // without a run there is nothing that anything could be sent to
        throw error instanceof Refused ? new Closed(error.message) : error;
      }
    };
    const send = async (items: readonly Item[], signal: AbortSignal): Promise<void> => {
      const client = await connected();
      const run = await runOf(client, signal);
      const first = items[0]!;
      switch (first.kind) {
        case "settings":
          return client.log(run.runId, { params: first.params }, signal);
        case "steps":
          return client.log(run.runId, { metrics: items.flatMap((item) => metricsOf(item)) }, signal);
        case "files":
          if (client.takesFiles(run)) return client.file(run, first.name, first.content, signal);
          if (!told)
            say(
              `the server keeps files at ${run.files || "a place of its own"}, where it has to be written by other means; none are sent`,
            );
          told = true;
          return undefined;
        case "status":
          return client.update(run.runId, first.state, first.at, signal);
      }
    };
    const delivery = new Delivery<Item>({ send, together, kind: ({ kind }) => kind, droppable: "steps", say });
    return {
      start(run) {
        facts = run;
        const params = [...parametersOf(run)].map(([key, value]) => ({
          key: keyOf(key),
          value: String(value).slice(0, LONGEST_VALUE),
        }));
        for (const part of partsOf(params, MOST_PARAMS)) delivery.push({ kind: "settings", params: part });
      },
      scalar(step, values) {
        // put into words when it is sent: what a server that is away never gets costs nothing more than its place
        const timestamp = Date.now();
        for (const part of partsOf(freshValues(values), MOST_METRICS))
          delivery.push({ kind: "steps", values: part, step, timestamp });
      },
      artifact: (name, content) => delivery.push({ kind: "files", name, content }),
      finish(outcome) {
        if (facts === undefined) return undefined;
        delivery.push({ kind: "status", state: STATES[outcome], at: Date.now() });
        return delivery.finish();
      },
    };
  },
};

function metricsOf(item: Item): readonly Metric[] {
  if (item.kind !== "steps") return [];
  const { values, step, timestamp } = item;
  return values.map(([key, value]) => ({
    key: keyOf(key),
    value: Number.isFinite(value) ? value : String(value),
    timestamp,
    step,
  }));
}

/** Steps go together as far as one request takes them, everything else by itself. */
function together(items: readonly Item[]): number {
  let [count, metrics] = [0, 0];
  for (const item of items) {
    if (item.kind !== "steps") break;
    metrics += item.values.length;
    if (metrics > MOST_METRICS) break;
    count++;
  }
  return Math.max(1, count);
}

function partsOf<T>(list: readonly T[], most: number): (readonly T[])[] {
  if (list.length > 0 && list.length <= most) return [list];
  return Array.from({ length: Math.ceil(list.length / most) }, (_, i) => list.slice(most * i, most * (i + 1)));
}

/** Letters, digits and `_-./ :` are what every server takes. */
function keyOf(name: string): string {
  return name.replace(/[^\w\-./ :]/g, "_").slice(0, LONGEST_KEY);
}
