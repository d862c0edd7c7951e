/** What every script here needs: the root folder, running a command, installing what is missing. Plain Node: it runs before anything is installed. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { constants } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Says what is going on, on stderr, so that stdout stays for results. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Runs a command in the root with its output shown; returns the exit code. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: options.quiet ? ["ignore", "ignore", "inherit"] : "inherit",
    env: { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH}`, ...options.env },
  });
  if (result.error) throw result.error;
  return result.status ?? 1;
}

/** Signals that ask a process to end. Node itself would end at once and leave the command behind. */
const ENDING = ["SIGHUP", "SIGINT", "SIGTERM"];

/** Runs a command as this process's own work: it gets every signal that this process gets, and how it ends is how this process should end. Resolves to the exit code. */
export function follow(command, args, options = {}) {
  const child = spawn(command, args, { cwd: root, stdio: "inherit", ...options });
  const forward = ENDING.map((signal) => [signal, () => child.kill(signal)]);
  for (const [signal, pass] of forward) process.on(signal, pass);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("exit", (code, signal) => {
      for (const [name, pass] of forward) process.off(name, pass);
      done(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** Installs dependencies once per lockfile. */
export function install() {
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "pnpm-lock.yaml")))
    .digest("hex");
  const stamp = join(root, "node_modules", ".lowrank-installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  say("installing dependencies …");
  const started = performance.now();
  // --yes: npm may be configured to ask before it fetches a package
  const code = run("npx", ["--yes", packageManager, "install", "--frozen-lockfile", "--reporter=append-only"], {
    quiet: true,
    env: { CI: "true" },
  });
  if (code !== 0) {
    say("installing failed; run `npx --yes " + packageManager + " install --frozen-lockfile` to see why");
    process.exit(code);
  }
  writeFileSync(stamp, lock);
  say(`installed in ${((performance.now() - started) / 1000).toFixed(0)} s`);
}

/** Compiles the packages to their dist folders. */
export function build() {
  say("building …");
  return run("tsc", ["-b"]);
}

/** Runs a TypeScript entry point on the sources. */
export function runSource(entry, args) {
  return run(process.execPath, ["--import", "tsx", "--conditions", "@lowrank/source", entry, ...args]);
}
