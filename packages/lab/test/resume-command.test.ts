/** Killed, stopped and shared out: what the command leaves is what an uninterrupted one does. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lowrank, namesIn, savedSteps, until, type CommandProcess } from "./command-process.ts";
import { determined, RESUME_STUDY } from "./resume-study.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-resume-"));

describe("the command", () => {
  it("shares the runs among processes, and goes on with what was killed or stopped, to the same bytes", async () => {
    const study = join(temporary(), "study.yaml");
    writeFileSync(study, RESUME_STUDY);
    const start = (out: string): CommandProcess =>
      lowrank("run", study, "--device", "wasm", "--threads", "1", "--out", out, "--checkpoint-every", "1");
    const [shared, killed] = [temporary(), temporary()];

    // two at once: every run is made once, and both have all of them
    const two = await Promise.all([start(shared), start(shared)].map(({ end }) => end));
    expect(two.map(({ code, said }) => [code, said.includes("FAILED")])).toEqual([
      [0, false],
      [0, false],
    ]);
    const names = namesIn(shared, "runs");
    expect(names).toEqual(["ada", "full", "half"].map((name) => expect.stringMatching(`^${name}-s1-[0-9a-f]{8}$`)));
    const events = names.flatMap((name) =>
      readFileSync(join(shared, "runs", name, "events.jsonl"), "utf8")
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { event: string }).event),
    );
    for (const once of ["started", "finished"]) expect(events.filter((event) => event === once)).toHaveLength(3);

    // killed where it saves every step
    const first = start(killed);
    await until(() => (savedSteps(killed, "ada").at(-1) ?? 0) >= 4, first);
    first.child.kill("SIGKILL");
    expect((await first.end).code).toBe("SIGKILL");
    const work = namesIn(killed, "runs")[0]!;
    expect(namesIn(killed, "runs", work)).toContain(".lock");

    // stopped: says where it is and how it goes on
    const second = start(killed);
    await until(() => savedSteps(killed, "half").length > 0, second);
    second.child.kill("SIGINT");
    const stopped = await second.end;
    expect(stopped.code).toBe(130);
    expect(stopped.said).toMatch(/ada · seed 1: goes on from step \d+, where it was saved\n/);
    expect(stopped.said).toMatch(
      /\nlowrank: stopped by SIGINT; half-s1-[0-9a-f]{8}: step \d+ is saved in .*step-\d+; to go on: lowrank run .* --checkpoint-every 1\n$/,
    );
    expect(namesIn(killed, "runs")).toEqual([expect.stringMatching(/^\.work-half-/), expect.stringMatching(/^ada-/)]);

    const third = await start(killed).end;
    expect(third.code).toBe(0);
    expect(third.said).toMatch(/half · seed 1: goes on from step \d+, where it was saved\n/);
    expect(namesIn(killed, "runs")).toEqual(names);
    for (const name of names)
      expect(determined(join(killed, "runs", name)), name).toEqual(determined(join(shared, "runs", name)));
  }, 300_000);
});
