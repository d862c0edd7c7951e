/** The command as `npx lowrank` gives it. */
import { readJson, version } from "./packages.mjs";
import { runIn } from "./install.mjs";
import { join } from "node:path";

const lowrank = (folder, ...args) => runIn(folder, "npx", ["--no-install", "lowrank", ...args]);
const mustHold = (text, part) => {
  if (!text.includes(part)) throw new Error(`no ${JSON.stringify(part)} in:\n${text}`);
};

export const COMMAND = {
  "--version"(folder) {
    const said = lowrank(folder, "--version").trim();
    if (said !== version) throw new Error(`says ${said}, and is ${version}`);
  },

  "--help"(folder) {
    const help = lowrank(folder, "--help");
    for (const command of ["run", "pretrain", "params", "doctor"]) mustHold(help, `\n  ${command} `);
  },

  doctor(folder) {
    mustHold(lowrank(folder, "doctor"), "  wasm       works");
  },

  /** All six configurations with one seed on little data; nobody waits for the accuracy. */
  "run demo"(folder) {
    const small = ["--seeds", "13", "--set", "train.epochs=1", "--set", "task.train=512", "--set", "task.dev=128"];
    const table = lowrank(folder, "run", "demo", "--quiet", ...small);
    for (const config of ["b-fp", "b-q4", "b-ada", "joint-1", "joint-2", "joint-3"]) mustHold(table, `| ${config} `);
    if (readJson(join(folder, "runs/demo/results.json")).results.length !== 6) throw new Error("not six results");
  },
};
