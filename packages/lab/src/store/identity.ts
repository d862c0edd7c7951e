/**
 * What makes two runs the same run: resolved config, seed, data, code and kind of device. The number of threads is not
 * part of it, because results do not depend on it.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { canonicalHash } from "../config/canonical.ts";
import { methods } from "../methods/registry.ts";
import type { ResolvedConfig } from "../config/study.ts";
import { tasks } from "../tasks/registry.ts";

export interface RunIdentity {
  readonly config: ResolvedConfig;
  readonly seed: number;
  /** Content hash of everything that was read: data files, tokenizer, checkpoint. */
  readonly data: string;
  /** Content hash of the code that computes. */
  readonly code: string;
  readonly device: string;
  /** Identities of the runs that it needs; absent: none. */
  readonly needs?: readonly string[] | undefined;
}

/** SHA-256 of the identity, hex. Where the base is does not count, its content is in `data`. */
export function runId(identity: RunIdentity): string {
  const { config, ...rest } = identity;
  return canonicalHash({ ...rest, config: comparable(config) });
}

/** As `runId`, whatever the code version: what `--reuse` compares. @param identity with the cells of what it needs */
export function studyCellId(identity: Omit<RunIdentity, "code">): string {
  const { config, seed, data, device, needs } = identity;
  return canonicalHash({ seed, data, device, needs, config: comparable(config) });
}

/** `<config>-s<seed>-<first 8 of the id>`, with the task after the config in a study of several. */
export function runName({ config, seed }: Pick<RunIdentity, "config" | "seed">, id: string): string {
  const cell = [config.name, config.taskLabel].filter((part) => part !== undefined).join("-");
  return `${cell}-s${seed}-${id.slice(0, 8)}`;
}

/** The base and files by content instead of by path, and what is ordered, such as patterns, as lists. */
function comparable(config: ResolvedConfig): unknown {
  const ordered = methods.has(config.method.method) ? (methods.get(config.method.method).ordered ?? []) : [];
  const lists = ordered.map((key) => [
    key,
    Object.entries((config.method as unknown as Record<string, object>)[key] ?? {}),
  ]);
  const task = tasks.has(config.task.name) ? tasks.get(config.task.name) : undefined;
  // which revision it was says its content too
  const { revision: _, ...said } = config;
  return {
    ...said,
    task: task?.comparable?.(config.task) ?? config.task,
    base: config.base === null ? null : "by content",
    method: { ...config.method, ...Object.fromEntries(lists) },
  };
}

/** Packages whose code decides numbers, and of the lab only the folders that do. */
const COMPUTING = ["tensor", "nn", "quant", "peft", "models"];
const COMPUTING_IN_LAB = ["allocators", "bases", "data", "methods", "metrics", "random", "records", "tasks", "train"];

/**
 * Content hash of the computing code as it is loaded: sources in a checkout run from source, `dist` when built.
 * @param plugins content of what was loaded besides; undefined: nothing was
 */
export function codeVersion(plugins?: string): string {
  const labRoot = dirname(fileURLToPath(new URL(".", import.meta.url)));
  const form = import.meta.url.endsWith(".ts") ? "src" : "dist";
  const hash = createHash("sha256");
  for (const name of COMPUTING) {
    const root = packageRoot(name);
    if (root !== undefined) hashTree(join(root, form), hash);
  }
  for (const folder of COMPUTING_IN_LAB) hashTree(join(labRoot, form, folder), hash);
  const own = hash.digest("hex");
  return plugins === undefined ? own : canonicalHash({ own, plugins });
}

function packageRoot(name: string): string | undefined {
  try {
    return dirname(fileURLToPath(import.meta.resolve(`@lowrank/${name}/package.json`)));
  } catch {
    return undefined; // not installed: then no code of it runs either
  }
}

function hashTree(folder: string, hash: ReturnType<typeof createHash>): void {
  if (!existsSync(folder)) return;
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (file) => /\.[jt]s$/.test(file) && !file.endsWith(".d.ts"),
  );
  for (const file of files.sort())
    hash
      .update(file)
      .update("\0")
      .update(readFileSync(join(folder, file)))
      .update("\0");
}
