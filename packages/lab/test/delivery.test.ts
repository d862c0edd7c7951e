/** The queue before a server, by a clock of its own: what arrives, in which order, what is left out, and how long the end waits. */
import { fc, test } from "@fast-check/vitest";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Closed, Delivery, Later, Refused, type DeliveryOptions } from "../src/sinks/http/delivery.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function open(send: DeliveryOptions<number>["send"], options: Partial<DeliveryOptions<number>> = {}) {
  const said: string[] = [];
  const delivery = new Delivery<number>({
    send,
    together: (items) => Math.min(3, items.length),
    kind: (item) => (item < 0 ? "files" : "steps"),
    droppable: "steps",
    say: (line) => void said.push(line),
    ...options,
  });
  return { delivery, said };
}

/** What finishing took, in milliseconds of the clock. */
async function finished(delivery: Delivery<number>): Promise<number> {
  const started = performance.now();
  let ended: number | undefined;
  void delivery.finish().then(() => (ended = performance.now() - started));
  for (let i = 0; ended === undefined && i < 1000; i++) await vi.advanceTimersByTimeAsync(10);
  return ended!;
}

describe("a delivery", () => {
  test.prop([
    fc.array(
      fc.record({
        outcome: fc.constantFrom("arrives", "later", "odd", "refused"),
        takes: fc.nat(4000),
        pushed: fc.nat(5),
        pause: fc.nat(8000),
      }),
      { maxLength: 12 },
    ),
  ])("is in order and complete but for what was refused, however the server fares", async (course) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const [arrived, refused]: number[][] = [[], []];
    let at = 0;
    const { delivery, said } = open(async (items) => {
      const { outcome, takes } = course[at++] ?? { outcome: "arrives", takes: 0 };
      await new Promise((resolve) => setTimeout(resolve, takes));
      if (outcome === "later") throw new Later("busy", 2);
      if (outcome === "odd") throw new TypeError("odd");
      if (outcome === "refused") {
        refused!.push(...items);
        throw new Refused("no");
      }
      arrived!.push(...items);
    });
    let count = 0;
    for (const { pushed, pause } of course) {
      for (let i = 0; i < pushed; i++) delivery.push(count++);
      await vi.advanceTimersByTimeAsync(pause);
    }
    // every failure has been waited out
    await vi.advanceTimersByTimeAsync(1e6);
    expect(await finished(delivery)).toBeLessThan(100);
    expect(arrived).toEqual(Array.from({ length: count }, (_, i) => i).filter((i) => !refused!.includes(i)));
    const lost = refused!.length;
    expect(said).toEqual(lost === 0 ? [] : [`not delivered: ${lost} steps (no); the run's own files hold them`]);
  });

  it("waits longer each time, and as long as it is asked to", async () => {
    const times: number[] = [];
    const { delivery } = open(() => {
      times.push(performance.now());
      return Promise.reject(times.length === 3 ? new Later("busy", 60) : new Later("down"));
    });
    const started = performance.now();
    delivery.push(1);
    await vi.advanceTimersByTimeAsync(200_000);
    const waits = times.map((time, i) => Math.round((time - (times[i - 1] ?? started)) / 1000));
    expect(waits).toEqual([1, 1, 2, 60, 8, 16, 30, 30, 30]);
  });

  it("holds so many and leaves the oldest steps out, which it says once", async () => {
    const arrived: number[] = [];
    let up = false;
    const { delivery, said } = open(
      (items) => (up ? (arrived.push(...items), Promise.resolve()) : Promise.reject(new Later("down"))),
      { bound: 5 },
    );
    delivery.push(-1);
    for (let i = 0; i < 9; i++) delivery.push(i);
    up = true;
    expect(await finished(delivery)).toBeLessThan(100);
    expect(arrived).toEqual([-1, 5, 6, 7, 8]);
    expect(said).toEqual([
      "5 steps wait to be sent; the oldest are left out",
      "not delivered: 5 steps (too many waited); the run's own files hold them",
    ]);
  });

  const never = (_: unknown, signal: AbortSignal): Promise<void> =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("given up"))));

  it.each([
    ["answers", 100, 0],
    ["has not answered yet", 1500, 2000],
    ["answered until a moment ago", 5000, 5000],
    ["does not answer", 20_000, 200],
    ["does not answer to a short run", 4000, 100],
    ["does not answer to a run of minutes", 200_000, 2000],
    ["does not answer to a run of hours", 3_000_000, 5000],
  ])("that ends while the server %s", async (what, after, least) => {
    let up = what.startsWith("answer");
    const { delivery, said } = open((items, signal) => (up ? Promise.resolve() : never(items, signal)));
    if (what === "answered until a moment ago") {
      delivery.push(0);
      await vi.advanceTimersByTimeAsync(after - 1500);
      up = false;
    }
    for (let i = 0; i < 7; i++) delivery.push(i);
    await vi.advanceTimersByTimeAsync(what === "answered until a moment ago" ? 1500 : after);
    const took = await finished(delivery);
    expect(took).toBeGreaterThanOrEqual(least);
    expect(took).toBeLessThan(least + 200);
    expect(said).toEqual(
      what === "answers" ? [] : ["not delivered: 7 steps (no answer); the run's own files hold them"],
    );
    // nothing of it is left that would keep a process alive
    expect(vi.getTimerCount()).toBe(0);
  });

  it("asks once more at the end, and no more", async () => {
    let asked = 0;
    const { delivery, said } = open(() => {
      asked++;
      return Promise.reject(new Later("ECONNREFUSED"));
    });
    delivery.push(1);
    delivery.push(-1);
    await vi.advanceTimersByTimeAsync(1500);
    const before = asked;
    expect(await finished(delivery)).toBeLessThan(100);
    expect(asked).toBe(before + 1);
    expect(said).toEqual(["not delivered: 1 steps, 1 files (ECONNREFUSED); the run's own files hold them"]);
  });

  it("is over where the server closes the door", async () => {
    let asked = 0;
    const { delivery, said } = open(() => {
      asked++;
      return Promise.reject(new Closed("401"));
    });
    delivery.push(1);
    await vi.advanceTimersByTimeAsync(2000);
    delivery.push(2);
    await vi.advanceTimersByTimeAsync(100_000);
    await finished(delivery);
    expect(asked).toBe(1);
    expect(said).toEqual([
      "401; nothing is sent any more",
      "not delivered: 2 steps (401); the run's own files hold them",
    ]);
  });
});
