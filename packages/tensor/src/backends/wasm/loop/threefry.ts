/** Threefry-2x32-20 on four lanes. Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". */
import type { Code } from "./code.ts";
import type { Push } from "./push.ts";

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const KEY_PARITY = 0x1bd11bda;
const ROUNDS = 20;

/**
 * Both output words under key (k0, k1) at each of the counters (c0, c1). Every step of a call waits for the one before, so a call alone
 * leaves half of the machine idle; the calls are interleaved.
 */
export function threefry(c: Code, k0: Push, k1: Push, c0: readonly Push[], c1: Push): [Push, Push][] {
  const keys = [k0, k1, c.let4(c.v("xor", c.v("xor", k0, k1), c.i4const(KEY_PARITY)))];
  let calls = c0.map((counter): [Push, Push] => [c.let4(c.i4("add", counter, k0)), c.let4(c.i4("add", c1, k1))]);
  for (let round = 0; round < ROUNDS; round++) {
    const r = ROTATIONS[round % ROTATIONS.length]!;
    calls = calls.map(([x0, x1]) => {
      const sum = c.let4(c.i4("add", x0, x1));
      return [sum, c.let4(c.v("xor", c.v("or", c.shift("shl", x1, r), c.shift("shr_u", x1, 32 - r)), sum))];
    });
    if (round % 4 !== 3) continue;
    const injection = (round + 1) / 4;
    const [a, b] = [keys[injection % 3]!, keys[(injection + 1) % 3]!];
    calls = calls.map(([x0, x1]) => [
      c.let4(c.i4("add", x0, a)),
      c.let4(c.i4("add", c.i4("add", x1, b), c.i4const(injection))),
    ]);
  }
  return calls;
}
