/** `lowrank ls`: the runs of a store as a table. */
import { printable, suggestion } from "@lowrank/tensor/check";
import { InputError } from "../errors.ts";
import { metricNamed, metricScale } from "../metrics/of-evaluation.ts";
import { RUN_STATES, type RunState } from "../store/read-runs.ts";
import { renderColumns } from "../text/columns.ts";
import { formatDuration, formatNumber } from "../text/format.ts";
import { cut, cutName } from "../text/shown.ts";
import { allRuns, storesAt, type FoundRun } from "./found-runs.ts";
import { parseChoice } from "./options.ts";
import { EXIT_OK } from "./outcome.ts";

export interface LsOptions {
  readonly out: string;
  readonly config?: string;
  readonly state?: string;
  readonly sort: string;
  readonly json?: boolean;
}

export function lsCommand(options: LsOptions): number {
  const stores = storesAt(options.out);
  const states = list(options.state)?.map(parseChoice("--state", RUN_STATES));
  const every = allRuns(stores);
  const configs = list(options.config);
  const known = [...new Set(every.flatMap(({ config }) => config ?? []))];
  const unknown = configs?.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new InputError(`--config ${cut(unknown)}: no run here has that config${suggestion(cut(unknown), known)}`);
  const runs = every.filter(
    ({ config, state }) =>
      (configs === undefined || (config !== undefined && configs.includes(config))) &&
      (states === undefined || states.includes(state)),
  );
  sort(runs, options.sort, every);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(
          runs.map(({ store, ...run }) => ({
            ...run,
            store: store.label,
            changed: new Date(run.changed).toISOString(),
          })),
          null,
          2,
        )}\n`
      : text(runs, stores.length > 1),
  );
  return EXIT_OK;
}

function list(said: string | undefined): string[] | undefined {
  return said?.split(",").map((part) => part.trim());
}

const KEYS: Readonly<Record<string, (run: FoundRun) => number | string | undefined>> = {
  name: ({ store, name }) => `${store.label}/${name}`,
  loss: ({ loss }) => loss,
  step: ({ step }) => (step === undefined ? undefined : -step),
  seconds: ({ seconds }) => seconds,
  changed: ({ changed }) => -changed,
};

/** In place; runs without the value come last. */
function sort(runs: FoundRun[], said: string, every: readonly FoundRun[]): void {
  const metrics = [...new Set(every.flatMap((run) => Object.keys(run.metrics)))];
  if (!Object.hasOwn(KEYS, said) && !metrics.includes(said)) {
    const known = [...Object.keys(KEYS), ...metrics];
    throw new InputError(`--sort ${cut(said)}: expected one of ${known.join(", ")}${suggestion(cut(said), known)}`);
  }
  const sign = metrics.includes(said) && metricNamed(said).better === "higher" ? -1 : 1;
  const key = Object.hasOwn(KEYS, said)
    ? KEYS[said]!
    : (run: FoundRun) => (run.metrics[said] === undefined ? undefined : sign * run.metrics[said]);
  runs.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined);
    return x < y ? -1 : x > y ? 1 : 0;
  });
}

const MOST_METRICS = 3;

function text(runs: readonly FoundRun[], labelled: boolean): string {
  if (runs.length === 0) return "no runs\n";
  const count = new Map<string, number>();
  for (const run of runs) for (const name of Object.keys(run.metrics)) count.set(name, (count.get(name) ?? 0) + 1);
  const metrics = [...count.keys()].slice(0, MOST_METRICS);
  const table = renderColumns(
    [
      ...(labelled ? [{ title: "in" }] : []),
      { title: "run" },
      { title: "state" },
      { title: "step", align: "right" as const },
      { title: "loss", align: "right" as const },
      ...metrics.map((name) => ({
        title: `${metricNamed(name).label}${metricScale(name) === 100 ? " %" : ""}`,
        align: "right" as const,
      })),
      { title: "time", align: "right" as const },
      { title: "" },
    ],
    runs.map((run) => [
      ...(labelled ? [printable(run.store.label)] : []),
      printable(cutName(run.name)),
      run.state,
      steps(run),
      formatNumber(run.loss, 4),
      ...metrics.map((name) => metricCell(run, name)),
      run.seconds === undefined ? "" : formatDuration(run.seconds),
      printable(cut(remark(run))),
    ]),
  );
  return `${table}\n${tally(runs)}\n`;
}

function metricCell({ metrics }: FoundRun, name: string): string {
  return metrics[name] === undefined ? "" : formatNumber(metricScale(name) * metrics[name], 2);
}

function steps({ step, steps: of, state }: FoundRun): string {
  if (step === undefined) return "";
  return state === "finished" || of === undefined ? String(step) : `${step}/${of}`;
}

/** Who holds a run, what is wrong with it. */
function remark({ holder, why, warnings, changed }: FoundRun): string {
  if (holder !== undefined)
    return `process ${holder.pid} on ${holder.host}, ${formatDuration(Math.max(0, (Date.now() - changed) / 1000))} ago`;
  return why ?? warnings?.[0] ?? "";
}

/** `12 runs: 10 finished, 2 failed`. */
function tally(runs: readonly FoundRun[]): string {
  const of = (state: RunState): number => runs.filter((run) => run.state === state).length;
  const parts = RUN_STATES.filter((state) => of(state) > 0).map((state) => `${of(state)} ${state}`);
  return `${runs.length} run${runs.length === 1 ? "" : "s"}: ${parts.join(", ")}`;
}
