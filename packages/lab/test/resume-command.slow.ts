/** `SIGKILL` at a random point, ten times in a row: the study that is left has the bytes of one that nobody disturbed. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RandomStream } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { lowrank, namesIn, savedSteps, type CommandProcess } from "./command-process.ts";
import { determined, RESUME_STUDY } from "./resume-study.ts";

const KILLS = 10;
const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-resume-"));

it("ten kills in a row leave no trace", async () => {
  const study = join(temporary(), "study.yaml");
  writeFileSync(study, RESUME_STUDY);
  const start = (out: string): CommandProcess => {
    const more = ["--set", "train.epochs=60", "--checkpoint-every", "4"];
    return lowrank("run", study, "--device", "wasm", "--threads", "1", "--out", out, ...more);
  };
  const [straight, killed] = [temporary(), temporary()];
  const begun = performance.now();
  expect((await start(straight).end).code).toBe(0);
  const milliseconds = performance.now() - begun;
  const random = new RandomStream(20_261_128, "kills");
  let [kills, after] = [0, 0];
  while (kills < KILLS) {
    const process = start(killed);
    // anywhere from its first lines to about where a fifth of the steps are made: ten of them do not get to the end
    const ended = await Promise.race([process.end, sleep((milliseconds * (50 + random.integer(200))) / 1000)]);
    if (ended !== undefined) break;
    process.child.kill("SIGKILL");
    await process.end;
    kills++;
    if (
      namesIn(killed, "runs").some((name) => savedSteps(killed, name.slice(".work-".length).split("-")[0]!).length > 0)
    )
      after++;
  }
  expect((await start(killed).end).code).toBe(0);
  const names = namesIn(straight, "runs");
  expect(names).toHaveLength(3);
  expect(namesIn(killed, "runs")).toEqual(names);
  for (const name of names)
    expect(determined(join(killed, "runs", name)), name).toEqual(determined(join(straight, "runs", name)));
  expect(kills).toBe(KILLS);
  // and some of them where there was something to go on from
  expect(after).toBeGreaterThan(2);
}, 1_800_000);
