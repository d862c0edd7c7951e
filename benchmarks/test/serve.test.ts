/** The page of `lowrank serve` in headless Chromium: 1,000 runs, live curves, both colour schemes, a phone's width, the keyboard. */
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { writeSyntheticRun, writeSyntheticStore } from "../../packages/lab/test/synthetic-store.ts";
import { chromium } from "./chromium.ts";
import { startBrowser, type Browser, type Page } from "./devtools.ts";

const executable = await chromium();
const DESK = { width: 1280, height: 900 } as const;
const PHONE = { width: 390, height: 800, mobile: true } as const;
const LOOKS = [
  ["light", { ...DESK, scheme: "light" }],
  ["dark", { ...DESK, scheme: "dark" }],
  ["phone, light", { ...PHONE, scheme: "light" }],
  ["phone, dark", { ...PHONE, scheme: "dark" }],
] as const;
/** Where pictures are kept for who wants to look at them. */
const PICTURES = process.env["LOWRANK_PICTURES"];
if (PICTURES !== undefined) mkdirSync(PICTURES, { recursive: true });

const folder = mkdtempSync(join(tmpdir(), "lowrank-serve-page-"));
let [browser, server, url] = [undefined as unknown as Browser, undefined as unknown as ChildProcess, ""];
const live = { folder: "", name: "" };
const EVIL = "<img src=x onerror=window.hacked=1>";

beforeAll(async () => {
  if (executable === undefined) return;
  writeSyntheticStore(folder, { runs: 1000, steps: 40, layers: 4 });
  live.name = writeSyntheticRun(folder, {
    config: "b-ada",
    seed: 5000,
    steps: 200,
    layers: 4,
    at: { step: 60, state: "working" },
  });
  live.folder = join(folder, "runs", `.work-${live.name}`);
  const evil = join(folder, "runs", `.failed-${EVIL.replaceAll("/", "")}`);
  mkdirSync(evil);
  writeFileSync(
    join(evil, "error.json"),
    JSON.stringify({ message: `${EVIL}</script><script>window.hacked=1</script>` }),
  );
  writeFileSync(join(evil, "config.json"), JSON.stringify({ name: EVIL, study: EVIL, seed: 1, [EVIL]: EVIL }));
  // the command as people start it, in a process of its own
  const cli = fileURLToPath(new URL("../../packages/lab/src/cli.ts", import.meta.url));
  server = spawn(
    process.execPath,
    ["--import", "tsx", "--conditions", "@lowrank/source", cli, "serve", "--out", folder, "--port", "0"],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  url = await new Promise((resolve) => server.stdout!.once("data", (line) => resolve(String(line).trim())));
  browser = await startBrowser(executable);
}, 240_000);
afterAll(async () => {
  await browser?.close();
  server?.kill();
  rmSync(folder, { recursive: true, force: true });
}, 120_000);

const SHOWN = "document.documentElement.dataset.shown && document.getElementById('live').textContent === 'live'";

const open: Page[] = [];
afterEach(async () => {
  for (const page of open.splice(0)) await page.close();
});

async function opened(hash: string, look: (typeof LOOKS)[number][1] = LOOKS[0][1]): Promise<Page> {
  // no more than two at a time: live pages hold a connection each
  while (open.length > 1) await open.shift()!.close();
  const page = await browser.page();
  open.push(page);
  await page.look(look);
  await page.open(url + hash);
  await page.until(SHOWN);
  return page;
}

/** Key of the run whose name begins so. */
async function key(name: string): Promise<string> {
  const { runs } = (await (await fetch(`${url}api/runs`)).json()) as { runs: { key: string; name: string }[] };
  return runs.find((run) => run.name.startsWith(name))!.key;
}

describe.skipIf(executable === undefined)("the page", () => {
  it("shows 1,000 runs in less than two seconds", async () => {
    const times: number[] = [];
    for (let i = 0; i < 3; i++) {
      const page = await opened("#/");
      // milliseconds from the navigation's start, and the rows are in the document
      times.push(await page.value<number>("Number(document.documentElement.dataset.shown)"));
      expect(await page.value("document.querySelectorAll('tbody tr').length")).toBe(1002);
      expect(page.said).toEqual([]);
    }
    expect(Math.min(...times)).toBeLessThan(2000);
  });

  it.each(LOOKS)("is whole and can be read: %s", async (name, look) => {
    for (const [view, hash] of [
      ["runs", "#/"],
      ["run", `#/run/${await key("b-ada-s5000")}`],
      ["compare", `#/compare/${await key("b-ada-s1-")}/${await key("b-fp-s1-")}`],
    ] as const) {
      const page = await opened(hash, look);
      const picture = await page.picture();
      if (PICTURES !== undefined) writeFileSync(join(PICTURES, `${view} ${name}.png`), picture);
      // a picture of one colour has some hundred bytes
      expect(picture.length, view).toBeGreaterThan(10_000);
      // a phone's innerWidth grows with what sticks out
      const wide = await page.value<number>("document.documentElement.scrollWidth");
      expect(wide, `${view}: nothing sticks out`).toBeLessThanOrEqual(look.width);
      expect(await page.value<string[]>(FAINT), `${view}: contrast`).toEqual([]);
      expect(await page.value<string[]>(UNNAMED), `${view}: names`).toEqual([]);
      expect(page.said, view).toEqual([]);
    }
  });

  it("looks different in the dark and on a phone", async () => {
    const digests: string[] = [];
    for (const [, look] of LOOKS) {
      const picture = await (await opened("#/", look)).picture();
      digests.push(createHash("sha256").update(picture).digest("hex"));
    }
    expect(new Set(digests).size).toBe(LOOKS.length);
    const page = await opened("#/", LOOKS[1][1]);
    expect(await page.value("getComputedStyle(document.documentElement).backgroundColor")).toBe("rgb(20, 23, 28)");
  });

  it("sorts, filters and compares by the keyboard alone", async () => {
    const page = await opened("#/");
    const names = (): Promise<string[]> =>
      page.value("[...document.querySelectorAll('tbody tr')].slice(0, 3).map((row) => row.cells[1].textContent)");
    await page.value("document.querySelectorAll('thead button')[5].focus()");
    await page.press("Enter");
    expect(await page.value("document.querySelectorAll('thead th')[6].getAttribute('aria-sort')")).toBe("ascending");
    const losses = await page.value<number[]>(
      "[...document.querySelectorAll('tbody tr')].map((row) => row.cells[6].textContent).filter(Boolean).map(Number)",
    );
    expect(losses).toEqual([...losses].sort((a, b) => a - b));
    await page.value("(search.value = 'b-ada-s12', search.dispatchEvent(new Event('input')), 0)");
    expect(await page.value("document.querySelector('.count').textContent")).toBe("11 of 1002 runs");
    expect((await names()).every((name) => name.startsWith("b-ada-s12"))).toBe(true);
    for (const row of [0, 1]) await page.value(`document.querySelectorAll('tbody input')[${row}].click()`);
    await page.value("document.querySelector('a.button').focus()");
    await page.press("Enter");
    await page.until("document.querySelector('h1').textContent === 'Comparison'");
    expect(await page.value("document.activeElement.tagName")).toBe("H1");
  });

  it("draws what another process writes while it looks", async () => {
    const page = await opened(`#/run/${await key("b-ada-s5000")}`);
    await page.until("document.querySelector('.readout').textContent.includes('at step 60')");
    appendFileSync(join(live.folder, "steps.csv"), "61,0.123456,1,0.0001,,500,2048,0.2,10240,31,3e8\n");
    await page.until("document.querySelector('.readout').textContent.includes('training 0.1235 at step 61')");
    await page.until("document.querySelector('p.state').textContent.includes('step 61 of 200')");
    const cells = await page.value<number>("document.querySelectorAll('.heat rect').length");
    const ranks = Array.from({ length: 24 }, () => 5);
    appendFileSync(join(live.folder, "ranks.csv"), `70,200,120,${ranks.join(",")}\n`);
    await page.until(`document.querySelectorAll('.heat rect').length === ${cells + 24}`);
    // a step is chosen by the arrow keys
    await page.value("document.querySelector('svg.chart').focus()");
    await page.press("ArrowLeft");
    expect(await page.value("document.querySelector('.readout').textContent")).toContain("at step 60");
  });

  it("shows what runs say as text, whatever it is", async () => {
    const page = await opened("#/");
    await page.value("(search.value = 'onerror', search.dispatchEvent(new Event('input')), 0)");
    expect(await page.value("document.querySelector('tbody th').textContent")).toBe(EVIL);
    await page.open(`${url}#/run/${await key(EVIL)}`);
    await page.until(SHOWN);
    expect(await page.value("document.querySelector('h1').textContent")).toBe(EVIL);
    expect(await page.value("document.body.textContent.includes('</script><script>window.hacked=1')")).toBe(true);
    expect(
      await page.value("[window.hacked ?? null, document.querySelectorAll('main img, main script').length]"),
    ).toEqual([null, 0]);
  });

  it("is not for other pages", async () => {
    const page = await opened("#/");
    // a page of another origin in the same browser
    await page.open("data:text/html,<title>other</title>");
    const tried = await page.value(
      `Promise.all([fetch(${JSON.stringify(`${url}api/runs`)}).then(() => "read", () => "refused"), new Promise((resolve) => { const image = new Image(); image.onload = () => resolve("read"); image.onerror = () => resolve("refused"); image.src = ${JSON.stringify(`${url}api/runs`)}; })])`,
    );
    expect(tried).toEqual(["refused", "refused"]);
  });
});

it.runIf(executable === undefined)("needs the package @sparticuz/chromium on this machine", ({ skip }) => skip());

/**
 * Texts whose contrast with what is behind them is below WCAG 2.2's 4.5 (3 for large ones), as colours are computed: relative luminance of sRGB.
 */
const FAINT = `(() => {
  const rgb = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return { r, g, b, a }; };
  const luminance = ({ r, g, b }) => { const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (element) => { for (let at = element; at; at = at.parentElement) { const color = rgb(getComputedStyle(at).backgroundColor); if (color.a === 1) return color; } return { r: 255, g: 255, b: 255 }; };
  const faint = [];
  const rows = new Set([...document.querySelectorAll("tbody tr")].slice(20));
  for (const element of document.querySelectorAll("body *")) {
    if (rows.has(element.closest("tr")) || element.closest(".unseen, noscript, [hidden]")) continue;
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!text || element.closest("title")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(rgb(element instanceof SVGElement ? style.fill : style.color)), luminance(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) faint.push(element.tagName + " " + element.className + " " + contrast.toFixed(2));
  }
  return [...new Set(faint)];
})()`;

/** What can be used and has no name, tables without headers, pictures without words, more than one main heading. */
const UNNAMED = `(() => {
  const name = (element) => element.getAttribute("aria-label") || element.textContent.trim() || (element.id && document.querySelector("label[for=" + element.id + "]")?.textContent);
  const bad = [];
  for (const element of document.querySelectorAll("a, button, input, select, summary, svg[role=img], [role=region]")) if (!name(element)) bad.push(element.outerHTML.slice(0, 120));
  for (const table of document.querySelectorAll("table")) if (!table.caption || [...table.tHead.rows[0].cells].some((cell) => cell.scope !== "col")) bad.push("a table without caption or headers");
  if (document.querySelectorAll("h1").length !== 1) bad.push("not one h1");
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  if (new Set(ids).size !== ids.length) bad.push("ids twice");
  if (document.documentElement.lang !== "en") bad.push("no language");
  return bad;
})()`;
