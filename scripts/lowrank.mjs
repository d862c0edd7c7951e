/**
 * `npm run -s lowrank -- <args>`: the command line from the sources; works before and after a build. npm signals the shell that it
 * started: `exec` in package.json puts this process in the place of the shell, and `follow` passes the signal on.
 */
import { join } from "node:path";
import { follow, install, root } from "./tools.mjs";

install();
// in the caller's folder, so that relative paths mean what they say
const cwd = process.env["INIT_CWD"] ?? process.cwd();
const loader = join(root, "node_modules/tsx/dist/loader.mjs");
const args = [
  "--import",
  `file://${loader}`,
  "--conditions",
  "@lowrank/source",
  join(root, "packages/lab/src/cli.ts"),
  ...process.argv.slice(2),
];
process.exitCode = await follow(process.execPath, args, { cwd });
