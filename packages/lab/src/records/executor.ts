/** Who makes the runs of a study: a record. Which runs there are, what is done already and what is written of them is the same for all. */

/** One run that was made, well or not. */
export interface Executed<Job, Outcome> {
  readonly job: Job;
  readonly outcome: Outcome;
}

/** What an attempt says of a job that another process is making: it is to be tried again, after others, until it is made. */
export class Busy {
  /** Who makes it, for people. */
  readonly by: string;

  constructor(by: string) {
    this.by = by;
  }
}

export interface Executor {
  /** `--executor NAME`. */
  readonly name: string;
  /**
   * Makes every job once and tells of each as it comes. A job that fails has an outcome, too; what is thrown is wrong for all of them.
   * @param attempt makes a job in this process, unless another process has it
   */
  execute<Job, Outcome>(
    jobs: readonly Job[],
    attempt: (job: Job) => Promise<Outcome | Busy>,
  ): AsyncIterable<Executed<Job, Outcome>>;
}
