/** Which commit of the project the code is that runs, so that who reads a result can have the same code again. */
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

let known: string | null | undefined;

/** Null where the code is not of a checkout, or is not what was committed. */
export function sourceCommit(): string | null {
  if (known === undefined) known = askGit();
  return known;
}

function askGit(): string | null {
  const here = dirname(fileURLToPath(new URL("../..", import.meta.url)));
  const git = (...args: string[]): string | undefined => {
    const { status, stdout } = spawnSync("git", ["-C", here, ...args], { encoding: "utf8", timeout: GIT_MS });
    return status === 0 ? stdout.trim() : undefined;
  };
  // an installed package lies in the repository of somebody else, who does not keep it there
  if (git("ls-files", "--error-unmatch", "lab/package.json") === undefined) return null;
  if (git("status", "--porcelain", "--", ".") !== "") return null;
  return git("rev-parse", "HEAD") ?? null;
}

const GIT_MS = 5000;
