/** The page of `lowrank report` in headless Chromium, on paper and in a text browser; 1,000 runs, whose time is printed. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeSyntheticStore } from "../../packages/lab/test/synthetic-store.ts";
import { chromium } from "./chromium.ts";
import { startBrowser, type Browser, type Page } from "./devtools.ts";

const executable = await chromium();
const textBrowser = spawnSync("w3m", ["-version"]).status === 0;
const LOOKS = [
  ["light", { width: 1280, height: 900, scheme: "light" }],
  ["dark", { width: 1280, height: 900, scheme: "dark" }],
  ["phone, light", { width: 390, height: 800, mobile: true, scheme: "light" }],
  ["phone, dark", { width: 390, height: 800, mobile: true, scheme: "dark" }],
] as const;
/** Where pictures are kept for who wants to look at them. */
const PICTURES = process.env["LOWRANK_PICTURES"];
if (PICTURES !== undefined) mkdirSync(PICTURES, { recursive: true });

const STUDY = `# Do adaptive ranks pay, and do four bits cost anything?
name: synthetic
task: { name: sst2, maxLength: 64 }
seeds: [0, 1, 2, 3, 4]
train: { batchSize: 32, lr: 5e-4 }
configs:
  b-fp: { method: lora, r: 8, alpha: 16, target: [query, key, value, dense], storage: f16 }
  b-q4: { method: lora, r: 8, alpha: 16, target: [query, key, value, dense], storage: nf4 }
  b-ada: { method: adalora, alpha: 16, target: [query, key, value, dense], storage: f16 }
  joint-1: { method: adalora, alpha: 16, target: [query, key, value, dense], storage: f16 }
  joint-2: { method: adalora, alpha: 16, target: [query, key, value, dense], storage: f16 }
  joint-3: { method: adalora, alpha: 16, target: [query, key, value, dense], storage: f16 }
claims:
  fixed: { says: fixed rank beats adaptive, greater: [b-fp, b-ada] }
  bits: { says: 4-bit costs nothing, equal: [b-q4, b-fp] }
`;

const folder = mkdtempSync(join(tmpdir(), "lowrank-report-page-"));
const study = join(folder, "synthetic.yaml");
const page = join(folder, "report", "report.html");
let browser: Browser;

/** The command as people start it. */
function report(runs: string, out: string): void {
  const cli = fileURLToPath(new URL("../../packages/lab/src/cli.ts", import.meta.url));
  const words = ["report", runs, study, "--out", out];
  execFileSync(process.execPath, ["--import", "tsx", "--conditions", "@lowrank/source", cli, ...words]);
}

beforeAll(async () => {
  writeFileSync(study, STUDY);
  writeSyntheticStore(join(folder, "runs"), { runs: 30, steps: 60, layers: 6, items: 200, digests: true });
  report(join(folder, "runs"), join(folder, "report"));
  if (executable !== undefined) browser = await startBrowser(executable);
}, 240_000);
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
}, 120_000);

async function opened(look: (typeof LOOKS)[number][1]): Promise<Page> {
  const at = await browser.page();
  await at.look(look);
  await at.open(pathToFileURL(page).href);
  await at.until("document.readyState === 'complete' && [...document.images].every((image) => image.complete)");
  return at;
}

/** Texts whose contrast with the paper behind them is below what WCAG asks of small print, 4.5. */
const FAINT = `(() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = (at) => { for (let e = at; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; } };
  return [...document.querySelectorAll("main *")].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== "")).filter((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(paper(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5;
  }).map((e) => e.textContent.slice(0, 60));
})()`;

describe.skipIf(executable === undefined)("the page of a report", () => {
  it.each(LOOKS)("is whole and can be read: %s", async (name, look) => {
    const at = await opened(look);
    const picture = await at.picture(true);
    if (PICTURES !== undefined) writeFileSync(join(PICTURES, `report ${name}.png`), picture);
    expect(picture.length).toBeGreaterThan(50_000);
    expect(await at.value<number>("document.documentElement.scrollWidth"), "nothing sticks out").toBeLessThanOrEqual(
      look.width,
    );
    expect(await at.value<string[]>(FAINT), "contrast").toEqual([]);
    expect(
      await at.value("[...document.images].filter((image) => image.naturalWidth === 0 || image.alt === '').length"),
    ).toBe(0);
    expect(await at.value("document.scripts.length")).toBe(0);
    // every place that is pointed to is there once
    expect(
      await at.value(
        "[...document.querySelectorAll('a')].filter((a) => document.querySelectorAll('[id=\"' + a.hash.slice(1) + '\"]').length !== 1).length",
      ),
    ).toBe(0);
    expect(at.said).toEqual([]);
    await at.close();
  });

  it("has figures that follow the scheme", async () => {
    const digests = await Promise.all(
      LOOKS.slice(0, 2).map(async ([, look]) => {
        const at = await opened(look);
        await at.value("document.querySelector('img').scrollIntoView()");
        const shown = await at.picture();
        await at.close();
        return createHash("sha256").update(shown).digest("hex");
      }),
    );
    expect(digests[0]).not.toBe(digests[1]);
  });

  it("prints to paper, folded parts too", async () => {
    const at = await opened(LOOKS[0][1]);
    const pdf = await at.pdf();
    if (PICTURES !== undefined) writeFileSync(join(PICTURES, "report.pdf"), pdf);
    expect(pdf.subarray(0, 5).toString()).toBe("%PDF-");
    expect(pdf.length).toBeGreaterThan(50_000);
    await at.close();
  });
});

describe("the report in words", () => {
  it.skipIf(!textBrowser)("is read in a text browser", () => {
    const words = execFileSync("w3m", ["-dump", "-cols", "100", page], { encoding: "utf8" });
    expect(words).toMatch(/What was asked, and what came out\s+Of 2 claims, [^•]*• \S.*“fixed rank beats adaptive”/);
    // a drawing is its description
    expect(words).toContain("Differences in accuracy, seed by seed. b-fp minus b-ada:");
    expect(words).toMatch(/b-fp +LoRA, rank 12, 16-bit base +5 +9\d\.\d\d ±/);
  });

  it("of 1,000 runs", () => {
    const many = join(folder, "many");
    writeSyntheticStore(many, { runs: 1000, steps: 200, items: 872, digests: true });
    const start = performance.now();
    report(many, join(folder, "large"));
    process.stderr.write(
      `report of 1,000 runs: ${((performance.now() - start) / 1000).toFixed(1)} s with the start from sources\n`,
    );
    expect(
      readFileSync(join(folder, "large", "runs.csv"), "utf8")
        .trimEnd()
        .split("\n"),
    ).toHaveLength(1001);
  }, 240_000);
});
