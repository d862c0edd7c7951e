/** `npm run -s lowrank -- <args>`: the command line from the sources; works before and after a build. */
import { join } from "node:path";
import { install, root } from "./tools.mjs";
import { spawnSync } from "node:child_process";

install();
// in the caller's folder, so that relative paths mean what they say
const cwd = process.env["INIT_CWD"] ?? process.cwd();
const loader = join(root, "node_modules/tsx/dist/loader.mjs");
const { status } = spawnSync(process.execPath, ["--import", `file://${loader}`, "--conditions", "@lowrank/source", join(root, "packages/lab/src/cli.ts"), ...process.argv.slice(2)], { cwd, stdio: "inherit" });
process.exit(status ?? 1);
