/** A process of ours that makes the runs it is told to (`lowrank make`), one at a time, and is started again when it ends in the middle of one. */
import { fork, type ChildProcess } from "node:child_process";
import type { Job, Report, Workshop } from "../records/executor.ts";

/** What is said to it. */
export interface MakeRequest {
  readonly order: object;
  readonly job: Pick<Job, "name" | "label">;
  readonly threads: number | undefined;
  /** Where its store is, if not where the order says. */
  readonly out?: string | undefined;
  /** What came of runs that the job needs, for a store that does not have them. */
  readonly sources?: Readonly<Record<string, unknown>>;
}

/** How often a run is begun again whose process ended: what kills it three times is the run's own doing. */
const ATTEMPTS = 3;

export class MakerProcess {
  readonly #command: Workshop["command"];
  readonly #say: (line: string) => void;
  #child: ChildProcess | undefined;
  #closed = false;

  constructor({ command, say }: Pick<Workshop, "command" | "say">) {
    [this.#command, this.#say] = [command, say];
  }

  async make(request: MakeRequest): Promise<Report> {
    for (let attempt = 1; ; attempt++) {
      const ended = await this.#once(request);
      if (typeof ended !== "string") return ended;
      // given up: whoever comes next makes it
      if (this.#closed) return { kind: "busy", by: "nobody any more" };
      const { label } = request.job;
      if (attempt === ATTEMPTS)
        return {
          kind: "failed",
          message: `the process that made it ended ${ATTEMPTS} times, the last time by ${ended}`,
        };
      this.#say(`${label}: its process ended by ${ended}; it is begun again`);
    }
  }

  /** What came of it, or how the process ended instead. */
  #once(request: MakeRequest): Promise<Report | string> {
    const child = (this.#child ??= this.#start());
    return new Promise((done, fail) => {
      const told = (report: Report): void => settle(() => done(report));
      const exited = (code: number | null, signal: string | null): void =>
        settle(() => {
          this.#child = undefined;
          done(signal ?? `exit code ${code}`);
        });
      const failed = (error: Error): void => settle(() => fail(error));
      const settle = (then: () => void): void => {
        child.off("message", told).off("exit", exited).off("error", failed);
        then();
      };
      child.on("message", told).on("exit", exited).on("error", failed);
      // one that has just ended tells by its exit
      child.send(request, () => {});
    });
  }

  #start(): ChildProcess {
    const { options, script, args } = this.#command;
    return fork(script, [...args], { execArgv: [...options], stdio: ["ignore", "ignore", "inherit", "ipc"] });
  }

  /** Ends the process; what it is making stays as a signal would leave it. */
  close(): Promise<void> {
    const child = this.#child;
    this.#closed = true;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((done) => {
      child.once("exit", () => done());
      // it may be ending by itself
      if (child.connected) child.disconnect();
    });
  }
}
