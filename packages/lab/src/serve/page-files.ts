/** The page's scripts: built ones as they are, sources without their types. Which there are is what lies in the folder, and nothing else is served. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("./page/", import.meta.url);
/** In a checkout that runs from its sources; the package holds scripts only. */
const FROM_SOURCES = import.meta.url.endsWith(".ts");
const EXTENSION = FROM_SOURCES ? ".ts" : ".js";

/** The script that the page starts with. */
export const ENTRY: string = `/page/main${EXTENSION}`;

const texts = new Map<string, string>();

/** Text of a script; undefined where the page has none of that name. */
export async function pageFile(name: string): Promise<string | undefined> {
  const known = readdirSync(fileURLToPath(FOLDER)).filter(
    (file) => file.endsWith(EXTENSION) && !file.endsWith(".d.ts"),
  );
  if (!known.includes(name)) return undefined;
  const before = texts.get(name);
  if (before !== undefined) return before;
  const source = readFileSync(new URL(name, FOLDER), "utf8");
  const text = FROM_SOURCES ? await withoutTypes(source) : source;
  texts.set(name, text);
  return text;
}

async function withoutTypes(source: string): Promise<string> {
  // only who works on the page has it, so that it is no dependency of the package
  const tool: string = "esbuild";
  const { transform } = (await import(tool)) as {
    transform(source: string, options: object): Promise<{ readonly code: string }>;
  };
  return (await transform(source, { loader: "ts", target: "es2022", format: "esm" })).code;
}
