/** An empty folder, plain npm, our tarballs: what people have after `npm install`. */
import { spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { root } from "../tools.mjs";
import { readJson } from "./packages.mjs";

/** What npm says where no registry answers; anything else is a fault of ours. */
const UNREACHABLE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|FETCH_ERROR/;

/** The environment of a person's shell: without what `npm test` and `npm run` put there, this repository's commands among it. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(
    ([key]) =>
      !/^(npm_(package|lifecycle|command|execpath|node_execpath)|npm_config_(local|global)?_?(prefix|user_agent)$|INIT_CWD)/.test(
        key,
      ),
  ),
);
env.PATH = env.PATH.split(delimiter)
  .filter((folder) => !folder.startsWith(root))
  .join(delimiter);

/** Runs a command in the folder. @throws Error with its output if it fails */
export function runIn(folder, command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    encoding: "utf8",
    env,
    maxBuffer: 2 ** 28,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: exit ${status}\n${stdout}${stderr}`.slice(-4000));
  return stdout;
}

/** Installs the tarballs, third parties from npm's cache first. Returns false where no registry can be reached. @throws Error for anything else */
export function installTarballs(folder, tarballs) {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  // npm would wait minutes for a registry that is not there
  const quick = ["--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-timeout=20000"];
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  try {
    runIn(folder, "npm", ["install", "--prefer-offline", ...quick, ...quiet, ...tarballs]);
    return true;
  } catch (error) {
    if (UNREACHABLE.test(error.message)) return false;
    throw error;
  }
}

/** Names of everything that was installed. */
export const installed = (folder) =>
  readdirSync(join(folder, "node_modules"))
    .filter((name) => !name.startsWith("."))
    .flatMap((name) =>
      name.startsWith("@") ? readdirSync(join(folder, "node_modules", name)).map((part) => `${name}/${part}`) : [name],
    );

/** Packages that run something when they are installed, or that are for one platform only. */
export const scripted = (folder) =>
  Object.entries(readJson(join(folder, "package-lock.json")).packages)
    .filter(([, entry]) => entry.hasInstallScript || entry.os !== undefined || entry.cpu !== undefined)
    .map(([path]) => path);
