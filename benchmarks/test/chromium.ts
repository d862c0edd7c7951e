/** Headless Chromium from a package of npm's, with a profile of its own. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** Undefined where the package is not installed or not for this machine. */
export async function chromium(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const { default: packed } = await import("@sparticuz/chromium").catch(() => ({ default: undefined }));
  return packed?.executablePath();
}

/** Opens `url`; the answer closes the browser and deletes its profile. */
export function open(executable: string, url: string): () => Promise<void> {
  const profile = mkdtempSync(join(tmpdir(), "lowrank-chromium-"));
  // the browser leads a group of processes of its own, since its children outlive it for a moment and write into the profile
  const browser = spawn(
    executable,
    ["--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", `--user-data-dir=${profile}`, url],
    { stdio: "ignore", detached: true },
  );
  const exited = new Promise((resolve) => browser.once("close", resolve));
  return async () => {
    const group = -browser.pid!;
    signal(group, "SIGKILL");
    await exited;
    for (let tries = 0; tries < 50 && signal(group, 0); tries++) await pause(100);
    try {
      rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    } catch {
      // a profile that is left in the temporary folder says nothing about what the page computed
    }
  };
}

/** Whether there is such a process or group. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
