/** Child processes, one per engine and number of threads, each asked one thing at a time. */
import { fork } from "node:child_process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { join } from "node:path";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Longest that one answer may take: the slowest peer's compilation of a training step fits several times. */
const PATIENCE_MS = 300_000;

export class Peer {
  #child;
  #waiting;
  #gone = "";

  constructor(engine, threads) {
    this.engine = engine;
    this.threads = threads;
    // only ours is TypeScript
    const execArgv =
      engine === "ours"
        ? [
            "--import",
            pathToFileURL(join(root, "node_modules/tsx/dist/loader.mjs")).href,
            "--conditions",
            "@lowrank/source",
          ]
        : [];
    this.#child = fork(fileURLToPath(new URL("child.mjs", import.meta.url)), [engine, String(threads)], {
      execArgv,
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#child.on("message", (message) => this.#settle(message));
    this.#child.on("exit", (code, signal) => {
      this.#gone ||= `its process ended (${signal ?? `code ${code}`})`;
      this.#settle({ cannot: this.#gone });
    });
  }

  /** Why the process is no longer there; empty while it is. */
  get gone() {
    return this.#gone;
  }

  #settle(message) {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(message);
  }

  #next() {
    if (this.#gone !== "") return Promise.resolve({ cannot: this.#gone });
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#gone = `no answer in ${PATIENCE_MS / 1000} s`;
        this.#child.kill("SIGKILL");
        this.#settle({ cannot: this.#gone });
      }, PATIENCE_MS);
      this.#waiting = (message) => {
        clearTimeout(timer);
        resolve(message);
      };
    });
  }

  /** Waits for the process to be there; then asks and waits for the answer, which is { cannot } where there is none. */
  async started() {
    await this.#next();
    return this.ask({ do: "open" });
  }

  ask(message) {
    const answer = this.#next();
    if (this.#gone === "") this.#child.send(message);
    return answer;
  }

  stop() {
    this.#gone ||= "stopped";
    if (this.#child.connected) this.#child.disconnect();
  }
}
