/** What a tarball must hold, and what it must not. */
import { builtinModules } from "node:module";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { none } from "./checks.mjs";
import { packages, version } from "./packages.mjs";

const own = new Set(packages.map(({ name }) => name));

/** Each takes the package and its packed `{ manifest, files }`, and throws. */
export const CONTENTS = {
  /** No protocol of a workspace is left; ours are `^version`, and what others depend on is a range, so that npm can share it. */
  ranges({ manifest }) {
    if (manifest.version !== version) throw new Error(`version ${manifest.version}, and the root says ${version}`);
    const ranges = Object.entries(manifest.dependencies ?? {});
    none(
      ranges.filter(([name, range]) => own.has(name) && range !== `^${version}`).map((entry) => entry.join(" ")),
      `must be ^${version}`,
    );
    none(
      ranges.filter(([, range]) => !range.startsWith("^")).map((entry) => entry.join(" ")),
      "dependencies without ^",
    );
    none(
      ranges.map(([name]) => name).filter((name) => /^@types\/|\/types$/.test(name)),
      "types at run time; say why here if declarations need them",
    );
  },

  manifest({ manifest }) {
    if (JSON.stringify(manifest.exports).includes("@lowrank/source"))
      throw new Error("exports name sources, which are not in the tarball");
    none(
      ["scripts", "devDependencies"].filter((key) => key in manifest),
      "of use in the repository only",
    );
    none(
      ["description", "license", "type", "exports", "files", "engines"].filter((key) => !(key in manifest)),
      "missing keys",
    );
    if (manifest.sideEffects === undefined) throw new Error("`sideEffects` is not said: bundlers keep everything");
  },

  targets({ manifest, files }) {
    const targets = (value) => (typeof value === "string" ? [value] : Object.values(value).flatMap(targets));
    const named = [...targets(manifest.exports), ...Object.values(manifest.bin ?? {})];
    none(
      named.filter((path) => !files.has(path.replace("./", ""))),
      "named and not there",
    );
    for (const path of Object.values(manifest.bin ?? {}))
      if (!files.get(path.replace("./", "")).toString().startsWith("#!/usr/bin/env node\n"))
        throw new Error(`${path} has no #! line`);
  },

  /** Every source compiled, and nothing else but what a reader needs. */
  files({ folder, files, manifest }) {
    const sources = readdirSync(join(folder, "src"), { recursive: true }).filter((file) => file.endsWith(".ts"));
    if (sources.length === 0) throw new Error("no sources");
    const wanted = new Set(["package.json", "README.md", "LICENSE"]);
    for (const file of sources) for (const end of [".js", ".d.ts"]) wanted.add(`dist/${file.slice(0, -3)}${end}`);
    const entries = Object.values(manifest.exports).filter((entry) => typeof entry === "string");
    for (const entry of entries) wanted.add(entry.replace("./", ""));
    none(
      [...wanted].filter((file) => !files.has(file)),
      "missing",
    );
    none(
      [...files.keys()].filter((file) => !wanted.has(file)),
      "dead weight",
    );
    const code = [...files].filter(([file]) => file.startsWith("dist/")).map(([file, bytes]) => [file, `${bytes}`]);
    none(
      code.filter(([, text]) => text.includes("sourceMappingURL=")).map(([file]) => file),
      "names a map that is not there",
    );
  },

  /** Code imports what its package declares. */
  imports({ manifest, files }) {
    const declared = new Set([
      manifest.name,
      ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }),
      ...builtinModules.map((name) => `node:${name}`),
    ]);
    const pattern = /^(?! *\*).*(?:\bfrom "|^import "|\bimport\(")([^."][^"]*)"\)?/gm;
    for (const [file, bytes] of files) {
      if (!/\.(js|d\.ts)$/.test(file)) continue;
      for (const [, name] of bytes.toString().matchAll(pattern)) {
        const parts = name.split("/").slice(0, name.startsWith("@") ? 2 : 1);
        if (!declared.has(name) && !declared.has(parts.join("/")))
          throw new Error(`${file} imports ${name}, which is not a dependency`);
      }
    }
  },

  /** The umbrella has every package under its name. */
  umbrella({ manifest }) {
    if (manifest.name !== "lowrank") return;
    const rest = packages.filter(({ name }) => name !== "lowrank").map(({ name }) => name);
    none(
      rest.filter((name) => !(name in manifest.dependencies) || !(name.replace("@lowrank", ".") in manifest.exports)),
      "no dependency and subpath for",
    );
  },
};
