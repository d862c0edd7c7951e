/** TypeScript examples of the README files: type-checked and run where the tarballs are installed. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "../tools.mjs";
import { packages } from "./packages.mjs";
import { runIn } from "./install.mjs";

/** Pages whose examples run; a page about the repository's own sources is no part of this. */
const PAGES = [join(root, "README.md"), ...packages.map(({ folder }) => join(folder, "README.md"))];

/** `{ name, code, expected }`: what stands behind `console.log(…); //` up to a comma or space is the line that it must print. */
const nameOf = (page) => relative(join(root, "packages"), page).replace(/^\.\./, "root").split("/")[0];
const ofPages = PAGES.flatMap((page) =>
  [...readFileSync(page, "utf8").matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code], at) => ({
    name: `${nameOf(page)}-${at + 1}`,
    code,
    expected: [...code.matchAll(/console\.log\(.*\); \/\/ ([^\s,]+)/g)].map(([, value]) => value),
  })),
);

const entries = packages.flatMap(({ name, manifest }) =>
  Object.entries(manifest.exports)
    .filter(([, target]) => typeof target === "object" && !(manifest.sideEffects || []).includes(target.default))
    .map(([path]) => name + path.slice(1)),
);
const everything = `${entries.map((entry, i) => `import * as m${i} from "${entry}";`).join("\n")}
const entries = { ${entries.map((entry, i) => `"${entry}": m${i}`).join(", ")} };
for (const [name, entry] of Object.entries(entries))
  if (Object.keys(entry).length === 0) throw new Error(\`\${name} exports nothing\`);
`;

/** One more program imports every entry of every package, so that none is without types or code. */
export const examples = [{ name: "everything", code: everything, expected: [] }, ...ofPages];

const strict = {
  target: "es2022",
  strict: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  // declarations are read too, ours and those they rest on
  skipLibCheck: false,
};

/** Ways to compile: for Node, and for a bundler and browsers, where Node's types are not there. */
export const PROJECTS = {
  nodenext: {
    ...strict,
    module: "nodenext",
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")],
    rootDir: "ts",
    outDir: "js",
  },
  bundler: {
    ...strict,
    module: "esnext",
    moduleResolution: "bundler",
    lib: ["es2022", "dom"],
    types: [],
    // @types/node itself does not hold with it
    exactOptionalPropertyTypes: true,
    noEmit: true,
  },
};

export function writeExamples(folder) {
  mkdirSync(join(folder, "ts"));
  for (const { name, code } of examples) writeFileSync(join(folder, "ts", `${name}.ts`), code);
  for (const [name, compilerOptions] of Object.entries(PROJECTS))
    writeFileSync(join(folder, `tsconfig.${name}.json`), JSON.stringify({ compilerOptions, include: ["ts"] }));
}

export function compile(folder, project) {
  runIn(folder, process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", `tsconfig.${project}.json`]);
}

/** Runs the example as JavaScript, and as TypeScript where Node itself takes the types off; holds what it prints to what its page says. */
export function runExample(folder, { name, expected }) {
  const forms = [`js/${name}.js`, ...(process.features.typescript ? [`ts/${name}.ts`] : [])];
  for (const form of forms) check(runIn(folder, process.execPath, [form]).trim().split("\n"), name, expected);
}

function check(lines, name, expected) {
  let at = 0;
  for (const value of expected) {
    at = lines.indexOf(value, at) + 1;
    if (at === 0) throw new Error(`prints no line ${value}, but:\n${lines.join("\n")}`);
  }
  // three completions of three prompts, learnt by heart: a perplexity of nearly 1, and the one that belongs to the prompt
  if (name === "root-2" && !(Number(/^perplexity (\S+)$/.exec(lines[0])?.[1]) < 2 && lines[1].startsWith(" So I ")))
    throw new Error(`does not go on as it was taught:\n${lines.join("\n")}`);
  if (name === "root-3") {
    const losses = lines.slice(1).map(Number);
    if (!/^\d+ of \d+ parameters train$/.test(lines[0]) || losses.length !== 10 || !(losses[9] < losses[0]))
      throw new Error(`does not show a loss that falls:\n${lines.join("\n")}`);
  }
}
