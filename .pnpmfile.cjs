/**
 * What a package's manifest loses on its way into a tarball; pnpm itself puts `^version` for `workspace:^` and the catalog's version for
 * `catalog:`. Sources are not packed, so the condition that points at them goes; so does what only the repository can use.
 */
const SOURCE = "@lowrank/source";

function beforePacking(manifest) {
  for (const target of Object.values(manifest.exports ?? {})) if (typeof target === "object") delete target[SOURCE];
  delete manifest.scripts;
  delete manifest.devDependencies;
  return manifest;
}

module.exports = { hooks: { beforePacking } };
