/**
 * Who makes the runs of a study: a record. Which runs there are, what is done already, what a run is made of and what is written of it is the
 * same for all: an executor decides where and when, in this process or by others that are given the order.
 */

/** A run that is to be made. */
export interface Job {
  /** Of the run in the store. */
  readonly name: string;
  /** Identity of the run: who is given a job twice makes it once. */
  readonly id: string;
  /** For people. */
  readonly label: string;
  /** Names of jobs of the same list that must have come to an end before, well or not: a run whose source failed says so itself. */
  readonly needs: readonly string[];
  /** What came of other runs that it needs, for stores that do not have them. */
  readonly known?: Readonly<Record<string, Report>>;
}

/** What came of a job. Plain JSON, so that it can come from another process. */
export type Report =
  /** `result`: where the run's folder may be out of sight, what is in its `result.json` and beside it; `line`: where lines are kept, that of the run. */
  | { readonly kind: "made"; readonly result?: unknown; readonly line?: string }
  | {
      readonly kind: "failed";
      readonly message: string;
      /** Folder with what the run left. */
      readonly kept?: string | undefined;
      /** A value was not finite, which is an answer where a rate was tried. */
      readonly diverged?: boolean | undefined;
      /** Of one that diverged, where lines are kept. */
      readonly line?: string;
    }
  /** Another process makes it at the moment. */
  | { readonly kind: "busy"; readonly by: string }
  /** Given to somebody who makes it some time; the same command tells later what it came to. */
  | { readonly kind: "handed"; readonly to: string }
  /** Wrong input, for every job. */
  | { readonly kind: "refused"; readonly message: string };

/** What an attempt says of a job that another process is making. */
export class Busy {
  /** Who makes it, for people. */
  readonly by: string;

  constructor(by: string) {
    this.by = by;
  }
}

export interface Executed {
  readonly job: Job;
  readonly report: Report;
}

/** `node …options script …args`. */
export interface NodeCommand {
  readonly options: readonly string[];
  readonly script: string;
  readonly args: readonly string[];
}

/** What an executor works with. */
export interface Workshop {
  /** Folder of the study. */
  readonly out: string;
  /** All that another process of ours needs to make any of the jobs: `lowrank make` takes it. Plain JSON. */
  readonly order: object;
  /** Starts the command of ours in another process of Node. */
  readonly command: NodeCommand;
  /** The options that the record asks for, as far as they were given. */
  readonly options: ExecutorOptions;
  /** Threads of every process; absent: all cores are shared out. */
  readonly threads: number | undefined;
  /** Makes a job in this process. */
  attempt(job: Job): Promise<Report>;
  /** Whether the run is in the store, whoever made it. */
  isDone(job: Job): boolean;
  /** Receives lines for people. */
  readonly say: (line: string) => void;
}

export interface ExecutorOptions {
  /** `--jobs`: processes at a time. */
  readonly jobs?: number | undefined;
  /** `--redis`: URL of a Redis or Valkey. */
  readonly redis?: string | undefined;
}

export interface Executor {
  /** `--executor NAME`. */
  readonly name: string;
  /** Options that mean something to it. */
  readonly takes?: readonly (keyof ExecutorOptions)[];
  /** Before anything is planned. @throws InputError for options that lead nowhere */
  check?(options: ExecutorOptions): Promise<void>;
  /** Has every job made once, and tells of each as it comes. */
  execute(jobs: readonly Job[], workshop: Workshop): AsyncIterable<Executed>;
}
