/** A Redis of a test's own: Debian's redis-server on a free loopback port, with its data in a folder that outlives it. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Undefined where it is not installed. */
export function redisServer(): string | undefined {
  try {
    return execFileSync("sh", ["-c", "command -v redis-server"], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

export class TestRedis {
  readonly url: string;
  readonly #port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), "lowrank-redis-"));
  #process: ChildProcess | undefined;

  private constructor(port: number) {
    this.#port = port;
    this.url = `redis://127.0.0.1:${port}`;
  }

  static async start(): Promise<TestRedis> {
    const redis = new TestRedis(await freePort());
    await redis.start();
    return redis;
  }

  /** @throws Error where it does not say that it is ready */
  start(): Promise<void> {
    const options = { port: this.#port, bind: "127.0.0.1", dir: this.#folder, appendonly: "yes", save: "" };
    const args = Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]);
    const server = spawn(redisServer()!, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#process = server;
    return new Promise((done, fail) => {
      server.on("error", fail);
      server.on("exit", (code) => fail(new Error(`redis-server ended with ${code}`)));
      server.stdout.on("data", (text: Buffer) => {
        if (text.includes("eady to accept connections")) done();
      });
    });
  }

  stop(): Promise<void> {
    const server = this.#process;
    if (server === undefined || server.exitCode !== null) return Promise.resolve();
    return new Promise((done) => {
      server.removeAllListeners("exit").on("exit", () => done());
      server.kill("SIGTERM");
    });
  }
}
