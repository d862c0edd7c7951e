/** docs/extending.md as it stands: every example put into a copy of the sources, counted, type-checked and run there. */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../../..");
const page = readFileSync(join(root, "docs/extending.md"), "utf8");

interface Step {
  readonly kind: "new" | "edit" | "check";
  readonly path: string;
  readonly code: string;
}

interface Section {
  readonly title: string;
  readonly steps: readonly Step[];
}

/** A block belongs to the file that was named last before it; one marked `check` to none. */
function sectionsOf(text: string): Section[] {
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const steps: Step[] = [];
      let path = "";
      for (const [, named, language, mark, code] of part.matchAll(
        /^`([\w./@-]+)`|^```(ts|diff)( check)?\n([\s\S]*?)^```$/gm,
      )) {
        if (named !== undefined) path = named;
        else if (mark !== undefined) steps.push({ kind: "check", path: "check.ts", code: code! });
        else steps.push({ kind: language === "diff" ? "edit" : "new", path, code: code! });
      }
      return { title: part.slice(0, part.indexOf("\n")), steps };
    });
}

/** Rows of the table: title → files that are new, files that get lines. */
const promised = new Map(
  [...page.matchAll(/^\| \[([^\]]+)\]\([^)]*\) \| (\d+) \| (\d+) \|$/gm)].map(([, title, fresh, changed]) => [
    title!.replace(/^an? /, ""),
    { fresh: Number(fresh), changed: Number(changed) },
  ]),
);

/** A hunk of a diff: its lines without + must stand in the file once, and are replaced by those without −. */
function patched(text: string, hunk: string): string {
  const lines = hunk.replace(/\n$/, "").split("\n");
  const side = (mark: string): string =>
    lines
      .filter((line) => !line.startsWith(mark))
      .map((line) => line.slice(1))
      .join("\n");
  const before = side("+");
  const at = text.indexOf(`\n${before}\n`);
  expect(at, `the page shows lines that the file does not have:\n${before}`).toBeGreaterThanOrEqual(0);
  expect(text.indexOf(`\n${before}\n`, at + 1), `lines that the file has twice:\n${before}`).toBe(-1);
  return `${text.slice(0, at + 1)}${side("-")}${text.slice(at + 1 + before.length)}`;
}

const PACKAGES = readdirSync(join(root, "packages")).filter((name) => existsSync(join(root, "packages", name, "src")));

/** The sources of all packages, and links by which they find each other and what they depend on. */
function copyOfSources(): string {
  const folder = mkdtempSync(join(tmpdir(), "lowrank-extending-"));
  mkdirSync(join(folder, "node_modules/@lowrank"), { recursive: true });
  mkdirSync(join(folder, "node_modules/@types"));
  for (const name of PACKAGES) {
    const from = join(root, "packages", name);
    const to = join(folder, "packages", name);
    cpSync(join(from, "src"), join(to, "src"), { recursive: true });
    cpSync(join(from, "package.json"), join(to, "package.json"));
    symlinkSync(to, join(folder, "node_modules", name === "lowrank" ? name : `@lowrank/${name}`));
    const { dependencies = {}, peerDependencies = {} } = JSON.parse(
      readFileSync(join(from, "package.json"), "utf8"),
    ) as { dependencies?: Record<string, string>; peerDependencies?: Record<string, string> };
    for (const other of Object.keys({ ...dependencies, ...peerDependencies }).filter(
      (d) => !d.startsWith("@lowrank/"),
    )) {
      // the name may have a scope in front
      mkdirSync(dirname(join(to, "node_modules", other)), { recursive: true });
      symlinkSync(join(from, "node_modules", other), join(to, "node_modules", other));
    }
  }
  for (const name of ["@types/node", "fast-check"])
    symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
  return folder;
}

function run(folder: string, command: string, args: readonly string[]): void {
  try {
    execFileSync(join(root, "node_modules/.bin", command), args, { cwd: folder, stdio: "pipe", encoding: "utf8" });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error });
  }
}

describe("docs/extending.md", () => {
  const sections = sectionsOf(page);
  beforeAll(() => {
    expect(sections.length).toBeGreaterThan(0);
  });
  let folder: string | undefined;
  afterEach(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it("has an example of everything in its table", () => {
    expect(sections.map(({ title }) => title.replace(/^An? /, ""))).toEqual([...promised.keys()]);
  });

  it.each(sections)(
    "$title",
    ({ title, steps }) => {
      const copy = copyOfSources();
      folder = copy;
      const [fresh, changed] = [new Set<string>(), new Set<string>()];
      const checks: string[] = [];
      for (const { kind, path, code } of steps) {
        const at = join(copy, path);
        if (kind === "check") checks.push(code);
        else if (kind === "new") {
          expect(existsSync(at), `${path} is there already`).toBe(false);
          fresh.add(path);
          mkdirSync(dirname(at), { recursive: true });
          writeFileSync(at, code);
        } else {
          changed.add(path);
          writeFileSync(at, patched(readFileSync(at, "utf8"), code));
        }
      }
      expect({ fresh: fresh.size, changed: changed.size }).toEqual(promised.get(title.replace(/^An? /, "")));
      expect(checks.length, "an example runs").toBeGreaterThan(0);
      checks.forEach((code, i) => writeFileSync(join(copy, `check-${i}.ts`), code));
      const options = { ...JSON.parse(readFileSync(join(root, "tsconfig.test.json"), "utf8")).compilerOptions };
      writeFileSync(join(copy, "package.json"), '{ "type": "module" }');
      writeFileSync(
        join(copy, "tsconfig.json"),
        JSON.stringify({
          extends: join(root, "tsconfig.base.json"),
          compilerOptions: { ...options, customConditions: ["@lowrank/source"] },
          include: ["check-*.ts", ...fresh],
        }),
      );
      run(copy, "tsc", ["-p", "."]);
      checks.forEach((_, i) => run(copy, "tsx", ["--conditions=@lowrank/source", `check-${i}.ts`]));
    },
    300_000,
  );
});
