/**
 * Holds the code to the drawing in docs/architecture.md: packages and the layers of the engine import downwards only, no file is in
 * a circle of imports (imports of types count), files stay short. `node scripts/structure.mjs` prints what breaks it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { APART, LAYERS, PACKAGES } from "./layers.mjs";
import { root } from "./tools.mjs";

const MEDIAN_LINES = 150;
const MOST_LINES = 350;

/** Every TypeScript file below `folder`. */
function sources(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** What a file imports or exports again, as written. Statements begin a line, which comments and strings do not do. */
export function importsOf(text) {
  const found = [];
  const statements = /^(?:import|export)\b(?:[^;"']*?\bfrom\s*)?\s*["']([^"']+)["']/gm;
  for (const [, specifier] of text.matchAll(statements)) found.push(specifier);
  for (const [, specifier] of text.matchAll(/\bimport\(\s*["']([^"']+)["']\s*\)/g)) found.push(specifier);
  return found;
}

/** Circles of files: strongly connected components of more than one (Tarjan 1972). */
export function circles(graph) {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const found = [];
  const visit = (node) => {
    index.set(node, index.size);
    low.set(node, index.get(node));
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node), low.get(next)));
    }
    if (low.get(node) !== index.get(node)) return;
    const members = stack.splice(stack.indexOf(node));
    if (members.length > 1 || graph.get(node)?.includes(node)) found.push(members.sort((a, b) => (a < b ? -1 : 1)));
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return found;
}

/** Number of the layer of a path: the first whose prefix fits; -1 where no layer claims it. */
export function layerOf(layers, path) {
  return layers.findIndex((layer) =>
    layer.some((part) => path === part || (part.endsWith("/") && path.startsWith(part))),
  );
}

function check() {
  const faults = [];
  const graph = new Map();
  const lengths = [];
  for (const name of Object.keys(PACKAGES)) {
    const base = join(root, "packages", name, "src");
    for (const file of sources(base)) {
      const path = relative(root, file);
      const text = readFileSync(file, "utf8");
      const lines = text.split("\n").length - 1;
      lengths.push(lines);
      if (lines > MOST_LINES) faults.push(`${path}: ${lines} lines; the limit is ${MOST_LINES}, split it by concept`);
      const own = [];
      for (const specifier of importsOf(text)) {
        if (specifier.startsWith(".")) own.push(resolve(dirname(file), specifier));
        else if (specifier.startsWith("@lowrank/")) {
          const other = specifier.split("/")[1];
          if (other === name) faults.push(`${path}: imports its own package by name`);
          else if (!PACKAGES[name].includes(other)) faults.push(`${path}: ${name} must not import ${other}`);
        }
      }
      graph.set(file, own);
      faults.push(...upwards(name, base, file, own));
    }
  }
  for (const members of circles(graph))
    faults.push(`a circle of imports: ${members.map((file) => relative(root, file)).join(", ")}`);
  lengths.sort((a, b) => a - b);
  const median = lengths[lengths.length >> 1];
  if (median > MEDIAN_LINES) faults.push(`the median file has ${median} lines; the limit is ${MEDIAN_LINES}`);
  return { faults, files: lengths.length, median, most: lengths.at(-1) };
}

/** Imports of `file` that point to a higher layer of its package. */
function upwards(name, base, file, imports) {
  const layers = LAYERS[name];
  if (layers === undefined) return [];
  const at = (path) => layerOf(layers, relative(base, path));
  const mine = at(file);
  if (mine < 0) return [`${relative(root, file)}: in no layer; give it one in scripts/layers.mjs`];
  const path = relative(base, file);
  return imports.flatMap((other) => {
    const to = relative(base, other);
    const apart = APART[name]?.some(([from, kept]) => path.startsWith(from) && to.startsWith(kept));
    if (at(other) > mine) return [`${relative(root, file)}: imports ${to}, which is above it`];
    return apart ? [`${relative(root, file)}: imports ${to}, of which it must not know`] : [];
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { faults, files, median, most } = check();
  for (const fault of faults) console.error(fault);
  console.error(`structure: ${files} files, median ${median} lines, longest ${most}, ${faults.length} faults`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
