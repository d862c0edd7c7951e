/** `--plugin FILE`: a module whose default export brings records. They are registered before the study is read, and are part of the runs' identity. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { allocators } from "../allocators/registry.ts";
import { hashFiles } from "../data/location.ts";
import { InputError } from "../errors.ts";
import { executors } from "../executors/registry.ts";
import { methods } from "../methods/registry.ts";
import { metrics } from "../metrics/registry.ts";
import type { Allocator } from "../records/allocator.ts";
import type { Executor } from "../records/executor.ts";
import type { Method } from "../records/method.ts";
import type { Metric } from "../records/metric.ts";
import type { Registry } from "../records/registry.ts";
import type { RowTask } from "../records/row-task.ts";
import type { SinkRecord } from "../records/sink.ts";
import type { Task } from "../records/task.ts";
import { sinks } from "../sinks/registry.ts";
import { tasks } from "../tasks/registry.ts";
import { rowTasks } from "../tasks/row-tasks.ts";
import { fileTask } from "../tasks/rows/from-files.ts";
import { suggestion } from "@lowrank/tensor/check";
import { quote } from "@lowrank/tensor";
import { cut } from "../text/shown.ts";

/** What a plugin's default export may hold. */
export interface Plugin {
  readonly tasks?: readonly Task[];
  /** Tasks on rows: studies have them as tasks on files, `predict` and `eval` as they are. */
  readonly rowTasks?: readonly RowTask[];
  readonly metrics?: readonly Metric[];
  readonly methods?: readonly Method[];
  readonly allocators?: readonly Allocator[];
  readonly sinks?: readonly SinkRecord[];
  readonly executors?: readonly Executor[];
}

const REGISTRIES: { readonly [K in keyof Required<Plugin>]: Pick<Registry<{ readonly name: string }>, "register"> } = {
  tasks,
  rowTasks: {
    register(record) {
      if (rowTasks.has(record.name) && rowTasks.get(record.name) === record) return;
      tasks.register(fileTask(record as RowTask));
      rowTasks.register(record as RowTask);
    },
  },
  metrics,
  methods,
  allocators,
  sinks,
  executors,
};

/** Content of the plugins' own files; undefined where there is none. What they import is not in it. */
export async function loadPlugins(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) register(path, await load(path));
  return paths.length === 0 ? undefined : hashFiles(paths);
}

async function load(path: string): Promise<unknown> {
  // its own kinds of trouble first: no file, a folder
  hashFiles([path]);
  try {
    const module = (await import(pathToFileURL(resolve(path)).href)) as { readonly default?: unknown };
    return module.default;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why =
      code === "ERR_UNKNOWN_FILE_EXTENSION" && /\.[mc]?ts$/.test(path)
        ? `this version of Node (${process.version}) does not load TypeScript by itself; 22.18 and later do, or give it as JavaScript`
        : (message.split("\n")[0] ?? "it cannot be loaded");
    throw new InputError(`--plugin ${cut(path)}: ${why}`, { cause: error });
  }
}

function register(path: string, plugin: unknown): void {
  const at = `--plugin ${cut(path)}`;
  const known = Object.keys(REGISTRIES);
  if (typeof plugin !== "object" || plugin === null)
    throw new InputError(`${at}: has no default export with ${known.join(", ")}`);
  for (const [key, records] of Object.entries(plugin)) {
    if (!Object.hasOwn(REGISTRIES, key))
      throw new InputError(`${at}: its default export has ${quote(key)}${suggestion(cut(key), known)}`);
    if (!Array.isArray(records)) throw new InputError(`${at}: "${key}" must be a list of records`);
    for (const record of records as readonly { readonly name: string }[]) {
      try {
        REGISTRIES[key as keyof Plugin].register(record);
      } catch (error) {
        throw error instanceof InputError ? new InputError(`${at}: ${error.message}`, { cause: error }) : error;
      }
    }
  }
}
