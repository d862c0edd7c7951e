import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { fc, test } from "@fast-check/vitest";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startProgress } from "../src/text/progress.ts";

const CLEAR_TO_END = "\u001b[K";

/** A terminal of some rows and columns that understands what a bar may write. Anything else is an error: it would have to be undone. */
class Screen {
  readonly isTTY = true;
  readonly columns: number;
  readonly #rows: string[][];
  #row: number;
  #column = 0;

  constructor(columns: number, rows: number, row: number) {
    this.columns = columns;
    this.#rows = Array.from({ length: rows }, () => []);
    this.#row = row;
  }

  write(text: string): boolean {
    for (const piece of text.split(CLEAR_TO_END).flatMap((part, i) => [...(i === 0 ? [] : [CLEAR_TO_END]), ...part])) {
      if (piece === CLEAR_TO_END) this.#rows[this.#row]!.length = Math.min(this.#rows[this.#row]!.length, this.#column);
      else if (piece === "\r") this.#column = 0;
      else if (piece === "\n") this.#down();
      else if (piece === "\u001b") throw new Error(`changes the terminal: ${JSON.stringify(text)}`);
      else {
        if (this.#column === this.columns) this.#down();
        this.#rows[this.#row]![this.#column++] = piece;
      }
    }
    return true;
  }

  #down(): void {
    this.#column = 0;
    if (this.#row < this.#rows.length - 1) this.#row++;
    else {
      this.#rows.shift();
      this.#rows.push([]);
    }
  }

  /** Rows that hold something, without spaces at their end. */
  text(): string[] {
    return this.#rows
      .map((row) =>
        Array.from(row, (cell) => cell ?? " ")
          .join("")
          .trimEnd(),
      )
      .filter((row) => row !== "");
  }
}

describe("a progress bar", () => {
  test.prop([fc.integer({ min: 1, max: 100 }), fc.nat(11), fc.nat(15), fc.boolean()])(
    "leaves its lines and nothing of itself, wherever the cursor stands and however narrow the terminal is",
    (columns, row, lines, updates) => {
      const screen = new Screen(columns, 12, row);
      const bar = startProgress("bar", "[1/6] b-fp · seed 13", 100, screen);
      const said = Array.from({ length: lines }, (_, i) => `e${i}`.slice(0, columns));
      for (const [i, line] of said.entries()) {
        if (updates) bar.update(i, "loss 0.5 and a note that is longer than the terminal is wide");
        bar.line(line);
      }
      bar.stop();
      expect(screen.text()).toEqual(said.slice(-11));
    },
  );

  it("shows how far it is on one row", () => {
    const screen = new Screen(70, 4, 3);
    const bar = startProgress("bar", "lora", 200, screen);
    bar.line("epoch 1.00");
    expect(screen.text()).toEqual(["epoch 1.00", `lora ${"░".repeat(24)} 0/200 · ? left ·`]);
    bar.stop();
  });
});

describe("the time that is left", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const beyond = (left: number | undefined): number | undefined => (left === undefined ? undefined : 60);

  it.each([0, 3])("is told on a terminal from the last steps, also of a run that goes on (cursor in row %i)", (row) => {
    const screen = new Screen(120, 4, row);
    const bar = startProgress("bar", "lora", 100, screen, beyond);
    const shown = (): string =>
      screen
        .text()
        .at(-1)!
        .replace(/^.* (\d+\/100 · )/, "$1");
    bar.from(40);
    expect(shown()).toBe("40/100 · ? left ·");
    // what has to be compiled first says nothing
    vi.advanceTimersByTime(30_000);
    bar.update(41, "loss 3");
    expect(shown()).toBe("41/100 · ? left · loss 3");
    vi.advanceTimersByTime(2000);
    bar.update(42, "loss 2");
    expect(shown()).toBe("42/100 · 1m56s left, study 2m56s · loss 2");
    // two steps were made in this process; an evaluation of four seconds is to be expected again as often
    vi.advanceTimersByTime(4000);
    bar.between();
    bar.line("epoch 1");
    expect(shown()).toBe("42/100 · 3m52s left, study 4m52s · loss 2");
    bar.update(100, "loss 1");
    bar.stop();
    bar.line("after the end");
    expect(screen.text()).toEqual(["epoch 1", "after the end"]);
  });

  it("is told now and then where nobody looks, in plain lines", () => {
    let written = "";
    const stream = { write: (text: string) => (written += text) };
    const lines = startProgress("lines", "lora", 100, stream, beyond);
    lines.from(40);
    for (let step = 41; step <= 60; step++) {
      vi.advanceTimersByTime(2000);
      lines.update(step, `loss ${step}`);
    }
    lines.line("epoch 1");
    lines.stop();
    expect(written).toBe(
      [
        "lora 48/100 (48 %), 1m44s left, study 2m44s · loss 48",
        "lora 56/100 (56 %), 1m28s left, study 2m28s · loss 56",
        "lora epoch 1",
        "",
      ].join("\n"),
    );
  });
});

const root = fileURLToPath(new URL("../../../", import.meta.url));
const cli = join(root, "packages/lab/src/cli.ts");
const started = (args: readonly string[]): ChildProcess & { said: () => string } => {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], cwd: root });
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  return Object.assign(child, { said: () => said });
};
const ended = (child: ChildProcess): Promise<number | string> =>
  new Promise((resolve) => child.on("close", (code, signal) => resolve(code ?? signal!)));

describe("the command as a process", () => {
  it("passes a signal on to the training, ends with the signal's code and leaves no run that looks finished", async () => {
    const out = mkdtempSync(join(tmpdir(), "lowrank-signal-"));
    const set = [
      "train.epochs=100000",
      "task.train=64",
      "task.dev=16",
      "task.length=6",
      "task.ranks={query: 1}",
      "model={hidden: 8, layers: 1, heads: 2, intermediate: 8}",
    ];
    const child = started([
      join(root, "scripts/lowrank.mjs"),
      "run",
      "planted",
      "--device",
      "wasm",
      "--threads",
      "1",
      "--out",
      out,
      ...set.flatMap((assignment) => ["--set", assignment]),
    ]);
    const end = ended(child);
    // the first evaluation says that training has begun
    await new Promise<void>((resolve) =>
      child.stderr!.on("data", () => {
        if (child.said().includes("epoch")) resolve();
      }),
    );
    child.kill("SIGTERM");
    expect(await end).toBe(143);
    expect(child.said()).toMatch(
      /\nlowrank: stopped by SIGTERM; head-s13-.* is saved in [^\n]*; to go on: lowrank run planted [^\n]*\n$/,
    );
    const [left, ...others] = readdirSync(join(out, "runs"));
    expect([left, others]).toEqual([expect.stringMatching(/^\.work-head-s13-/), []]);
    // the trainer itself has ended, and has given the folder back
    expect(readdirSync(join(out, "runs", left!))).not.toContain(".lock");
    expect(existsSync(join(out, "results.json"))).toBe(false);
  }, 120_000);

  it("takes a signal that comes twice at once for one, and leaves at the second", async () => {
    const signals = join(root, "packages/lab/src/cli/signals.ts");
    const script = `import { untilSignal } from ${JSON.stringify(signals)};
      await untilSignal((stop) => stop.heeding(() => new Promise(() => setInterval(() => console.error("at it"), 20))));`;
    const child = started(["--import", "tsx", "--conditions", "@lowrank/source", "--input-type=module", "-e", script]);
    const end = ended(child);
    const said = async (text: string): Promise<void> => {
      while (!child.said().includes(text)) await sleep(10);
    };
    await said("at it");
    child.kill("SIGINT");
    child.kill("SIGTERM");
    await said("lowrank: SIG");
    // npm passes on what the terminal has told already
    child.kill("SIGINT");
    await sleep(1500);
    expect(child.said().match(/lowrank: .*/g)).toEqual([
      expect.stringMatching(
        /^lowrank: SIG(INT|TERM): stopping once this step is finished and saved; again leaves at once$/,
      ),
    ]);
    child.kill("SIGINT");
    expect(await end).toBe("SIGINT");
  }, 60_000);

  it.runIf(existsSync("/dev/full"))(
    "says in one line that its output cannot be written, and ends with code 1",
    () => {
      const full = openSync("/dev/full", "w");
      try {
        const { status, stderr } = spawnSync(
          process.execPath,
          ["--import", "tsx", "--conditions", "@lowrank/source", cli, "--help"],
          { cwd: root, stdio: ["ignore", full, "pipe"], encoding: "utf8" },
        );
        expect({ status, stderr }).toEqual({
          status: 1,
          stderr: expect.stringMatching(/^lowrank: cannot write to the standard output: ENOSPC[^\n]*\n$/),
        });
      } finally {
        closeSync(full);
      }
    },
    120_000,
  );

  it("says nothing when its reader has gone", async () => {
    const child = started(["--import", "tsx", "--conditions", "@lowrank/source", cli, "run", "--help"]);
    child.stdout!.destroy();
    expect([await ended(child), child.said()]).toEqual([0, ""]);
  }, 120_000);
});
