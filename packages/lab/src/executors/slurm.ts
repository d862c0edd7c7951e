/**
 * Runs as array jobs of slurm, a level of needs after the other: `<out>/slurm/` has the order, a script a level and `submit.sh`, which is run where there
 * is an `sbatch`. A level begins when the one before has ended, well or not (`afterany`): one failed run must not take all of the next level with it, and
 * a run whose own source failed says so by name. The store must be on a file system that all nodes share.
 */
import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { InputError, RunError } from "../errors.ts";
import type { Executor, Job, NodeCommand, Workshop } from "../records/executor.ts";

const run = promisify(execFile);
const SUBMITTED = "submitted.txt";

export const slurm: Executor = {
  name: "slurm",
  async *execute(jobs, workshop) {
    const folder = join(workshop.out, "slurm");
    await refuseUnderWay(folder);
    writeScripts(folder, levelsOf(jobs), workshop);
    const script = join(folder, "submit.sh");
    const ids = await submitted(script);
    if (ids !== undefined) writeFileSync(join(folder, SUBMITTED), `${ids.join("\n")}\n`);
    const to =
      ids === undefined ? `${script}, which submits them where there is an sbatch` : `slurm, jobs ${ids.join(", ")}`;
    workshop.say(
      `${jobs.length === 1 ? "1 run is" : `${jobs.length} runs are`} given to ${to}; the same command tells what ${jobs.length === 1 ? "it" : "they"} came to`,
    );
    for (const job of jobs) yield { job, report: { kind: "handed", to } };
  },
};

/** Jobs that need nothing, those that need them alone, and so on. */
export function levelsOf(jobs: readonly Job[]): Job[][] {
  const level = new Map<string, number>();
  const names = new Map(jobs.map((job) => [job.name, job]));
  const of = (job: Job): number => {
    const known = level.get(job.name);
    if (known !== undefined) return known;
    const above = job.needs.flatMap((name) => names.get(name) ?? []).map((source) => of(source) + 1);
    const own = Math.max(0, ...above);
    level.set(job.name, own);
    return own;
  };
  const levels: Job[][] = [];
  for (const job of jobs) (levels[of(job)] ??= []).push(job);
  return levels;
}

function writeScripts(
  folder: string,
  levels: readonly (readonly Job[])[],
  { order, command, threads }: Workshop,
): void {
  mkdirSync(join(folder, "log"), { recursive: true });
  const orderFile = join(folder, "order.json");
  writeFileSync(orderFile, `${JSON.stringify(order, null, 2)}\n`);
  for (const [level, jobs] of levels.entries()) {
    const list = join(folder, `level-${level}.txt`);
    writeFileSync(list, jobs.map(({ name }) => `${name}\n`).join(""));
    const lines = [
      "#!/bin/sh",
      `#SBATCH --job-name=lowrank-${level}`,
      `#SBATCH --array=1-${jobs.length}`,
      `#SBATCH --output=${join(folder, "log", `level-${level}-%a.txt`)}`,
      `#SBATCH --cpus-per-task=${threads ?? 1}`,
      "#SBATCH --requeue",
      `exec ${words(command)} --order ${quoted(orderFile)} --threads "\${SLURM_CPUS_PER_TASK:-1}" "$(sed -n "\${SLURM_ARRAY_TASK_ID}p" ${quoted(list)})"`,
    ];
    writeFileSync(join(folder, `level-${level}.sh`), `${lines.join("\n")}\n`);
  }
  const submit = levels.map((_, level) => {
    const after = level === 0 ? "" : ` --dependency=afterany:$job`;
    // the cluster may stand behind the number
    return `job=$(sbatch --parsable${after} ${quoted(join(folder, `level-${level}.sh`))})\njob=\${job%%;*}\necho "$job"`;
  });
  const script = join(folder, "submit.sh");
  writeFileSync(script, `#!/bin/sh\n# Prints the number of each array job.\nset -e\n${submit.join("\n")}\n`);
  chmodSync(script, 0o755);
}

/** Numbers of the array jobs; undefined where there is no sbatch. @throws RunError where it refuses */
async function submitted(script: string): Promise<string[] | undefined> {
  try {
    await run("sh", ["-c", "command -v sbatch"]);
  } catch {
    return undefined;
  }
  try {
    const { stdout } = await run("sh", [script]);
    return stdout.trim().split("\n");
  } catch (error) {
    throw new RunError(`sbatch: ${(error as { stderr?: string }).stderr?.trim() || (error as Error).message}`, {
      cause: error,
    });
  }
}

/** What slurm has still to make is not given to it again. */
async function refuseUnderWay(folder: string): Promise<void> {
  const path = join(folder, SUBMITTED);
  if (!existsSync(path)) return;
  const ids = readFileSync(path, "utf8").trim().split("\n").join(",");
  const left = await run("squeue", ["--noheader", "--jobs", ids]).then(
    ({ stdout }) => stdout.trim(),
    // it knows them no more, or is not there
    () => "",
  );
  if (left !== "")
    throw new InputError(
      `slurm has runs of this study still to make (jobs ${ids}); wait for them, or: scancel ${ids.replaceAll(",", " ")}`,
    );
}

function words({ options, script, args }: NodeCommand): string {
  return [process.execPath, ...options, script, ...args].map(quoted).join(" ");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
