/** `lowrank run`: from the names of studies to results on disk and a table of each on stdout. */
import { join, resolve } from "node:path";
import { quote } from "@lowrank/tensor";
import { baseWord } from "../bases/found.ts";
import { loadStudy, seedsOf } from "../config/load.ts";
import { tasksOf } from "../config/cells.ts";
import { dataFolder, filesFolder } from "../data/location.ts";
import { InputError } from "../errors.ts";
import { executors } from "../executors/registry.ts";
import { loadPlugins } from "../plugins/load.ts";
import { codeVersion } from "../store/identity.ts";
import { KeptResults } from "../store/kept-results.ts";
import { sourceCommit } from "../store/source-commit.ts";
import { tasks } from "../tasks/registry.ts";
import type { Executor, ExecutorOptions } from "../records/executor.ts";
import { guestsOf } from "./guests.ts";
import { EXIT_OK } from "./outcome.ts";
import { refuseCheckpoints } from "./checkpoint-options.ts";
import type { RunOptions } from "./run-options.ts";
import { checkStudy, runAsked, type AskedStudy, type RunContext, type ToldStudy } from "./run-study-command.ts";

/** @param names files and presets: one study after the other */
export async function runCommand(names: readonly string[], options: RunOptions): Promise<number> {
  const plugins = await loadPlugins(options.plugin ?? []);
  const record = executorOf(options);
  if (options.dryRun !== true) await record.check?.(options);
  const guests = guestsOf(options.sink ?? []);
  const places = { dataFolder: dataFolder(options.data), filesFolder: filesFolder(options.data) };
  const studies = await askedStudies(names, options, places.dataFolder);
  refuseUnused(studies, options);
  const say = (line: string): void => void (options.quiet === true || process.stderr.write(`${line}\n`));
  const code = codeVersion(plugins);
  const { reuse = false, results } = options;
  const kept = results === undefined ? undefined : new KeptResults(resolve(results), { code, reuse });
  if (kept !== undefined) for (const line of otherCode(kept, reuse)) process.stderr.write(`${line}\n`);
  if (kept !== undefined && options.dryRun !== true && sourceCommit() === null)
    say("lines of these runs name no commit: the code that runs is not a checkout as it was committed");
  const context: RunContext = { options, code, record, guests, kept, places, say };
  if (studies.length > 1) for (const study of studies) await checkStudy(study, context);
  const told: ToldStudy[] = [];
  for (const [i, study] of studies.entries()) {
    if (studies.length > 1) say(`study ${study.study.name} (${i + 1} of ${studies.length}), in ${study.out}`);
    told.push(await runAsked(study, context));
  }
  if (options.json === true) {
    const all = told.map(({ outcome, dry }) => outcome ?? dry);
    process.stdout.write(`${JSON.stringify(studies.length === 1 ? all[0] : all, null, 2)}\n`);
  }
  return Math.max(EXIT_OK, ...told.map((one) => one.code));
}

/** All of them, read before the first is run. @throws InputError for two of one name, whose folder would be the same */
async function askedStudies(names: readonly string[], options: RunOptions, data: string): Promise<AskedStudy[]> {
  const words = {
    set: options.set ?? [],
    seeds: options.seeds,
    base: options.base === undefined ? undefined : baseWord(options.base),
    revision: options.revision,
    dataFolder: data,
  };
  const asked: (AskedStudy & { readonly source: string })[] = [];
  for (const source of names) {
    const study = await loadStudy(source, words);
    const same = asked.find((other) => other.study.name === study.name);
    if (same !== undefined)
      throw new InputError(
        `${source}: its "name" is ${quote(study.name)}, as that of ${same.source}; give each study a name of its own`,
      );
    const allSeeds = options.seeds === undefined ? study.seeds : await seedsOf(source, words);
    const alone = options.out !== undefined && names.length === 1;
    const out = resolve(alone ? options.out : join(options.out ?? "runs", study.name));
    asked.push({ study, allSeeds, out, source });
  }
  return asked;
}

/** What of the lines is not taken here, and what would take it. */
function otherCode(kept: KeptResults, reuse: boolean): string[] {
  const others = kept.otherCode();
  if (others.length === 0) return [];
  const count = others.reduce((sum, { lines }) => sum + lines, 0);
  const by = others.map(
    ({ code, commit, lines }) =>
      `${lines} by ${code.slice(0, 8)}${commit === null ? ", whose commit is not known" : `, which is git checkout ${commit}`}`,
  );
  const what = `${kept.folder}: ${count} line${count === 1 ? " is" : "s are"} by other code than this`;
  return [`${what}${reuse ? ", and counted where this study has the run" : " and not taken"}: ${by.join("; ")}`];
}

/** Several runs at a time are made by several processes. @throws InputError for options that it has no use for */
function executorOf({ executor: said, jobs, redis }: RunOptions): Executor {
  const record = executors.get(said ?? (jobs !== undefined && jobs > 1 ? "local" : executors.names[0]!));
  for (const [option, value] of Object.entries({ jobs, redis })) {
    if (value === undefined || record.takes?.includes(option as keyof ExecutorOptions) === true) continue;
    // one at a time is what there is without it
    if (option === "jobs" && said === undefined) continue;
    const others = executors.all.filter(({ takes }) => takes?.includes(option as keyof ExecutorOptions));
    throw new InputError(
      `--${option}: the executor ${record.name} has no use for it; leave it out, or say --executor ${others.map(({ name }) => name).join(" or ")}`,
    );
  }
  return record;
}

/** Options that these studies or the other options leave without effect. */
function refuseUnused(studies: readonly AskedStudy[], options: RunOptions): void {
  const names = studies.flatMap(({ study }) => tasksOf(study).map(({ task }) => task.name));
  if (options.data !== undefined && !names.some((name) => tasks.get(name).readsFiles))
    throw new InputError(`--data: the task ${names[0]} makes its data and reads none; leave it out`);
  const making = (["sink", "executor", "redis"] as const).find((option) => options[option] !== undefined);
  if (options.dryRun === true && making !== undefined)
    throw new InputError(`--dry-run makes no runs that --${making} could be for; leave it out`);
  if (options.dryRun === true) refuseCheckpoints(options);
  if (options.dryRun === true && options.detectAnomaly === true)
    throw new InputError("--dry-run and --detect-anomaly contradict: a dry run trains nothing that could be checked");
}
