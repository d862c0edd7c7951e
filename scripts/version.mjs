/** Runs inside `npm version X`, which raises the root's version, the only one that anybody types: gives it to every package. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./tools.mjs";

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
for (const folder of readdirSync(join(root, "packages"))) {
  const path = join(root, "packages", folder, "package.json");
  const manifest = JSON.parse(readFileSync(path, "utf8"));
  if (manifest.version === undefined) continue;
  writeFileSync(path, `${JSON.stringify({ ...manifest, version }, null, 2)}\n`);
  spawnSync("git", ["add", path], { cwd: root, stdio: "inherit" });
}
