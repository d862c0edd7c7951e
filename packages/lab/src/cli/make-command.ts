/**
 * `lowrank make`, for our own processes: makes runs that another one ordered. Started with a channel (`executors/maker-process.ts`) it takes one request
 * after the other and ends with its parent; with `--order FILE NAME…` it makes those runs (a task of an array job).
 */
import { readText } from "../data/read-file.ts";
import { parseJson } from "@lowrank/tensor/check";
import { canonicalJson } from "../config/canonical.ts";
import { InputError } from "../errors.ts";
import type { MakeRequest } from "../executors/maker-process.ts";
import { loadPlugins } from "../plugins/load.ts";
import type { Report } from "../records/executor.ts";
import { Interrupted, type Stop } from "../train/stop.ts";
import { codeVersion } from "../store/identity.ts";
import { OpenOrder } from "./order.ts";
import { describeFailure, EXIT_FAILED, EXIT_OK } from "./outcome.ts";
import { untilSignal } from "./signals.ts";

export interface MakeOptions {
  readonly order?: string;
  readonly threads?: number;
  readonly plugin?: string[];
}

const LARGEST_ORDER = 2 ** 26;

export async function makeCommand(names: readonly string[], options: MakeOptions): Promise<number> {
  const code = codeVersion(await loadPlugins(options.plugin ?? []));
  if (options.order === undefined) {
    if (process.send === undefined)
      throw new InputError(
        "lowrank make is for processes that lowrank starts itself; what makes a study is lowrank run",
      );
    return untilSignal((stop) => requests(code, stop));
  }
  const order = parseJson(readText(options.order, LARGEST_ORDER), options.order);
  return untilSignal(async (stop) => {
    const opened = await OpenOrder.open(order, { code, threads: options.threads, stop });
    try {
      let failed = false;
      for (const name of names) {
        const report = await opened.make(name, name);
        await opened.keep(report);
        if ("message" in report) process.stderr.write(`lowrank: run ${name} failed: ${report.message}\n`);
        failed ||= report.kind !== "made" && report.kind !== "busy";
      }
      return failed ? EXIT_FAILED : EXIT_OK;
    } finally {
      opened.close();
    }
  });
}

/** Answers requests until the parent is gone. What orders have in common, a device and data, is kept from one to the next. */
async function requests(code: string, stop: Stop): Promise<number> {
  let open: { readonly key: string; readonly order: OpenOrder } | undefined;
  const answer = async (request: MakeRequest): Promise<Report> => {
    const { order, job, threads, out, sources } = request;
    try {
      const key = canonicalJson({ order, threads, out });
      if (open?.key !== key) {
        open?.order.close();
        open = undefined;
        open = { key, order: await OpenOrder.open(order, { code, threads, out, stop }) };
      }
      return await open.order.make(job.name, job.label, sources as never);
    } catch (error) {
      if (error instanceof Interrupted) throw error;
      return { kind: "refused", message: describeFailure(error).line };
    }
  };
  let asked = 0;
  // without its parent it is of no use: what is being made is left as a signal leaves it
  process.once("disconnect", () => (asked === 0 ? process.exit(EXIT_OK) : process.kill(process.pid, "SIGTERM")));
  // ends when it is interrupted: a request that it is given up for has no answer
  return new Promise((_, fail) => {
    let last = Promise.resolve();
    process.on("message", (request: MakeRequest) => {
      asked++;
      last = last.then(async () => {
        const report = await answer(request);
        asked--;
        // the parent may be gone in the meantime
        process.send?.(report, () => {});
      });
      last.catch(fail);
    });
  });
}
