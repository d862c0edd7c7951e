/** `npm run bench:peers -- [options]`: installs the peers on first use, then measures them beside lowrank. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { install, root, run, say } from "./tools.mjs";

const folder = join(root, "benchmarks/peers");

/** Peers stay out of the workspace: ordinary installs do not pay for them. Their scripts do not run: onnxruntime-node's would fetch CUDA binaries. */
function installPeers() {
  const manifest = createHash("sha256")
    .update(readFileSync(join(folder, "package-lock.json")))
    .digest("hex");
  const stamp = join(folder, "node_modules/.installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === manifest) return;
  say("installing the peers (about 750 MB) …");
  const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0) {
    say("installing the peers failed; run `npm ci --ignore-scripts` in benchmarks/peers to see why");
    process.exit(status ?? 1);
  }
  writeFileSync(stamp, manifest);
}

install();
const args = process.argv.slice(2);
if (!args.includes("--help") && !args.includes("-h")) installPeers();
process.exit(run(process.execPath, [join(folder, "main.mjs"), ...args]));
