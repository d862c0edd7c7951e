/** `lowrank serve`: starts the page and says where it is. */
import { spawn } from "node:child_process";
import { statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { servePage, type ServedPage } from "../serve/server.ts";
import { storesAt } from "./found-runs.ts";
import { EXIT_OK } from "./outcome.ts";

export interface ServeOptions {
  readonly out: string;
  readonly port?: number;
  readonly open?: boolean;
}

const PORT = 7475;

export async function serveCommand({ out, port, open }: ServeOptions): Promise<number> {
  // an --out that is spelt wrong would be a page without runs; one that is there may have its first run in a moment
  if (statOf(out)?.isDirectory() !== true) storesAt(out);
  const page = await started(out, port);
  process.stdout.write(`${page.url}\n`);
  process.stderr.write("the page of the runs is there until Ctrl-C\n");
  if (open === true) openBrowser(page.url);
  // a signal ends the process: nothing is held, and nothing has been written
  await new Promise<void>(() => {});
  return EXIT_OK;
}

async function started(out: string, port: number | undefined): Promise<ServedPage> {
  try {
    return await servePage(out, port ?? PORT);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE" && code !== "EACCES") throw error;
    if (port === undefined) return servePage(out, 0);
    throw new InputError(
      `--port ${port}: ${code === "EACCES" ? "may not be used" : "is in use"}; give another one, or 0 for one that is free`,
      { cause: error },
    );
  }
}

/** Says nothing where there is no browser: the address stands in the terminal. */
function openBrowser(url: string): void {
  const [command, ...args] = { darwin: ["open"], win32: ["cmd", "/c", "start", ""] }[process.platform as string] ?? [
    "xdg-open",
  ];
  const browser = spawn(command!, [...args, url], { stdio: "ignore", detached: true });
  browser.on("error", () => {});
  browser.unref();
}
