/**
 * TensorBoard's event files, `tensorboard --logdir OUT`: a folder for each run, which stays where it is whatever becomes of the run, and a file in it for
 * each attempt. One that goes on, or begins anew, voids what the files before it say of the steps that it makes again.
 */
import { closeSync, mkdirSync, openSync, readdirSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { InputError } from "../errors.ts";
import type { SinkRecord } from "../records/sink.ts";
import { freshValues, parametersOf } from "./parameters.ts";
import {
  experimentEvent,
  scalarsEvent,
  sessionEndEvent,
  sessionStartEvent,
  startEvent,
  versionEvent,
} from "./tensorboard/events.ts";
import { frame } from "./tensorboard/record.ts";

/** By which a file is known as one of events, and its second, by which files are put in order. */
const EVENTS = /^events\.out\.tfevents\.(\d+)\./;
let files = 0;

const now = (): number => Date.now() / 1000;

export const tensorboard: SinkRecord = {
  name: "tensorboard",
  address: "DIR, the folder of event files (default: OUT/tensorboard)",
  check(address) {
    if (address === "") throw new InputError("--sink tensorboard=: the folder is missing; leave out the = or name one");
  },
  open({ out, address }) {
    let file: number | undefined;
    const write = (event: Uint8Array): void => void writeSync(file!, frame(event));
    return {
      start(run) {
        const folder = join(address === undefined ? join(out, "tensorboard") : resolve(address), run.name);
        mkdirSync(folder, { recursive: true });
        const seconds = readdirSync(folder).flatMap((name) => Number(EVENTS.exec(name)?.[1] ?? []));
        // files are read in the order of their names, so none may come before those that are there
        const second = Math.max(Math.floor(now()), ...seconds.map((before) => before + 1));
        const host = hostname().replace(/[^\w-]+/g, "-");
        const name = `events.out.tfevents.${String(second).padStart(10, "0")}.${host}.${process.pid}.${files++}`;
        file = openSync(join(folder, name), "ax");
        write(versionEvent(now()));
        if (seconds.length > 0) write(startEvent(now(), run.resumed + 1));
        const parameters = parametersOf(run);
        write(experimentEvent(now(), parameters, ["eval_loss", ...run.metrics]));
        write(sessionStartEvent(now(), parameters));
      },
      scalar: (step, values) => write(scalarsEvent(now(), step, freshValues(values))),
      artifact: () => {},
      finish(outcome) {
        if (file === undefined) return;
        if (outcome !== "interrupted") write(sessionEndEvent(now(), outcome === "finished"));
        closeSync(file);
        file = undefined;
      },
    };
  },
};
