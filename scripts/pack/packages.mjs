/** The packages that people install, as the repository has them, and their tarballs. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { root } from "../tools.mjs";

export const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

/** The one version: the root's, which `npm version` raises in every package (`scripts/version.mjs`). */
export const { version } = readJson(join(root, "package.json"));

/** `{ name, folder, manifest }` of every package that is not private. */
export const packages = readdirSync(join(root, "packages"))
  .map((folder) => join(root, "packages", folder))
  .filter((folder) => existsSync(join(folder, "package.json")))
  .map((folder) => ({ folder, manifest: readJson(join(folder, "package.json")) }))
  .filter(({ manifest }) => manifest.private !== true)
  .map((entry) => ({ ...entry, name: entry.manifest.name }));

/** As npm and pnpm name it. */
export const tarballName = ({ name, manifest }) => `${name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`;

/** Packs all packages into the folder. @throws Error with what pnpm and `prepack` said */
export function packAll(folder) {
  const filters = packages.flatMap(({ name }) => ["--filter", name]);
  const { status, stdout, stderr } = spawnSync(
    join(root, "node_modules/.bin/pnpm"),
    ["-r", ...filters, "pack", "--pack-destination", folder],
    { cwd: root, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`${stdout}${stderr}`);
}

/** Files of an npm tarball by path, without the leading `package/`. Ordinary files with short names is all that npm's have here. */
export function filesOf(tarball) {
  const bytes = gunzipSync(tarball);
  const text = (at, length) => bytes.toString("utf8", at, at + length).replace(/\0.*$/s, "");
  const files = new Map();
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0;) {
    const [name, size, type, prefix] = [
      text(at, 100),
      parseInt(text(at + 124, 12), 8),
      text(at + 156, 1),
      text(at + 345, 155),
    ];
    if (type !== "0") throw new Error(`${name}: an entry of type ${JSON.stringify(type)}, no ordinary file`);
    files.set(`${prefix}${prefix && "/"}${name}`.replace(/^package\//, ""), bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
