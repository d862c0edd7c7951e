/**
 * `prepack` of every package: no tarball without a build, and none of an older one. Builds what is missing or old, deletes outputs whose
 * source is gone, and refuses what is not whole then.
 */
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { run } from "./tools.mjs";

const folder = process.cwd();
const name = basename(folder);
const refuse = (why) => {
  process.stderr.write(`prepack of ${name}: ${why}\n`);
  process.exit(1);
};

if ((process.env["npm_config_user_agent"] ?? "").startsWith("npm/"))
  refuse("npm would leave `workspace:^` ranges in the tarball; pack with `pnpm pack`");

const [src, dist, stamp] = ["src", "dist", "dist/.tsbuildinfo"].map((part) => join(folder, part));
const files = (root, pattern) =>
  existsSync(root) ? readdirSync(root, { recursive: true }).filter((file) => pattern.test(file)) : [];
const sources = files(src, /\.ts$/).map((file) => file.slice(0, -3));
if (sources.length === 0) refuse(`${src} holds no sources: nothing to pack`);

const missing = () =>
  sources.flatMap((file) => [`${file}.js`, `${file}.d.ts`]).filter((file) => !existsSync(join(dist, file)));
// the compiler's own records say that outputs are there: without them, all are made again
if (missing().length > 0)
  for (const record of files(dist, /\.tsbuildinfo$/)) rmSync(join(dist, record), { force: true });
if (run("tsc", ["-b", folder]) !== 0) refuse("building failed; the messages above say where");

const known = new Set(sources.flatMap((file) => [`${file}.js`, `${file}.d.ts`]));
for (const file of files(dist, /\.(js|ts|map)$/)) if (!known.has(file)) rmSync(join(dist, file));

const absent = missing();
if (absent.length > 0) refuse(`dist lacks ${absent.slice(0, 5).join(", ")}; delete dist and build again`);
// an unchanged source leaves its output as it was, but every build renews the record
const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0;
const newer = sources.filter((file) => statSync(join(src, `${file}.ts`)).mtimeMs > built);
if (newer.length > 0) refuse(`dist is older than src/${newer[0]}.ts; delete dist and build again`);
