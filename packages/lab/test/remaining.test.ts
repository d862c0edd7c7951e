/** Time that is left, told from the last steps: by a clock of its own, against what was left in truth. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { RemainingTime } from "../src/text/remaining.ts";
import { StudyTime } from "../src/text/study-time.ts";

class Clock {
  ms = 0;
  readonly now = (): number => this.ms;

  pass(seconds: number): void {
    this.ms += 1000 * seconds;
  }
}

describe("the time that is left", () => {
  test.prop([
    fc.integer({ min: 10, max: 400 }),
    fc.integer({ min: 1, max: 50 }),
    fc.double({ min: 0.01, max: 10, noNaN: true }),
    fc.nat(300),
    fc.integer({ min: 0, max: 9 }),
  ])(
    "is right for steps that are alike, whatever the first took and whoever made those before",
    (steps, evaluateEvery, each, first, before) => {
      const clock = new Clock();
      const left = new RemainingTime(steps, clock.now);
      clock.pass(77);
      left.from(before);
      const evaluation = 3 * each;
      const told: [seen: number | undefined, at: number, evaluated: boolean][] = [];
      for (let step = before + 1; step <= steps; step++) {
        clock.pass(step === before + 1 ? first + each : each);
        left.update(step);
        if ((step - before) % evaluateEvery === 0) {
          clock.pass(evaluation);
          left.between();
        }
        told.push([left.seconds(), clock.ms / 1000, (step - before) % evaluateEvery === 0]);
      }
      const end = clock.ms / 1000;
      expect(told[0]![0]).toBe(steps - before === 1 ? 0 : undefined);
      for (const [seen, at, evaluated] of told.slice(1)) {
        // where an evaluation has just been, as many are expected as there will be, but for a last round that is cut short
        if (evaluated) expect(Math.abs(seen! - (end - at))).toBeLessThanOrEqual(evaluation + 1e-6 * end);
      }
      expect(left.seconds()).toBe(0);
    },
  );

  it("forgets how fast it was, and what was slow once", () => {
    const clock = new Clock();
    const left = new RemainingTime(1000, clock.now);
    for (let step = 1; step <= 100; step++) {
      clock.pass(1);
      left.update(step);
    }
    expect(left.seconds()).toBeCloseTo(900, 6);
    for (let step = 101; step <= 132; step++) {
      // two of them met another shape
      clock.pass(step % 16 === 0 ? 40 : 0.5);
      left.update(step);
    }
    expect(left.seconds()).toBeCloseTo(868 * 0.5, 6);
  });

  it("counts parts that are told together, and nothing twice", () => {
    const clock = new Clock();
    const left = new RemainingTime(100, clock.now);
    for (const done of [1, 1, 5, 5, 9]) {
      clock.pass(2);
      left.update(done);
    }
    // four parts in four seconds, twice
    expect(left.seconds()).toBe(91);
  });

  it("is not known before something was done", () => {
    const left = new RemainingTime(5, () => 0);
    expect(left.seconds()).toBeUndefined();
    expect(new RemainingTime(0, () => 0).seconds()).toBe(0);
  });
});

describe("the time that a study is left", () => {
  test.prop([
    fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 6 }),
    fc.double({ min: 0.01, max: 10, noNaN: true }),
  ])("is that of steps not begun, at the pace of those that were", (runs, each) => {
    const clock = new Clock();
    const time = new StudyTime(runs, clock.now);
    const total = runs.reduce((sum, steps) => sum + steps, 0);
    expect(time.beyond(undefined)).toBeUndefined();
    let begun = 0;
    for (const steps of runs) {
      time.began(steps);
      begun += steps;
      for (let step = 1; step <= steps; step++) {
        clock.pass(each);
        const beyond = time.beyond(each * (steps - step));
        if (begun === total) expect(beyond).toBeUndefined();
        else expect(beyond!).toBeCloseTo(each * (total - begun), 6);
      }
      time.ended();
    }
  });

  it("is told from earlier runs while the current one says nothing yet", () => {
    const clock = new Clock();
    const time = new StudyTime([10, 20, 30], clock.now);
    time.began(10);
    clock.pass(40);
    time.began(20);
    expect(time.beyond(undefined)).toBe(120);
    clock.pass(10);
    // 10 steps in 40 s, 20 in 10 + 10
    expect(time.beyond(10)).toBe(60);
    time.without(15);
    expect(time.beyond(10)).toBe(30);
    // half of the current run was there: 10 steps in 40 s, 10 in 10 + 10
    time.from(10);
    expect(time.beyond(10)).toBe(45);
  });
});
