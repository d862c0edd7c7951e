/** The bits of torch's CPU generator, recorded from torch 2.13.0 on a processor with a fused multiply-add: PEFT 0.21.2's `_kaiming_init` of A [r, in], then B [out, r]. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { MersenneTwister, projectionsOf } from "../src/vera/torch-random.ts";

/** Seed, r, in, out, SHA-256 of A's and B's bytes. */
const RECORDED: readonly [number, number, number, number, string][] = [
  [0, 1, 1, 1, "cebca51f31466c92043b700df3a7f6028e42829c6145c032cff0c685bde90fb4"],
  [0, 3, 5, 2, "28c1c0b7faf9931176bcb4e6ff1be28c05298dba720a9ebc676d6e25b4b029e4"],
  [0, 256, 384, 1536, "f223b23fa6f7d9b92d55fcb5810ea5779561b6aef380750487fea1a2fc6be2d7"],
  [1, 8, 64, 33, "8a5402d1d69c59d351c3bdb56b0fc7b130e7dac099b7f4efc406e9cb98f7cd30"],
  [3, 6, 16, 29, "805af23a1936414da7ff78a82e52073533b9283c6f8ee156699a243ba2b3d9b5"],
  [42, 17, 31, 13, "8b212022cec74560afcd0ce438b647474fcffe087a013796da0307ba23889bf0"],
  [2147483653, 3, 5, 2, "9aea1fb415d0b10a3d1e0292d255ba67fe44112b9b3bb7e3469184e88ddb12cf"],
  [4294967295, 8, 64, 33, "f0a83b8dc7952bb46383c45225d323e8be4785d2e19eadc58d27d97c0c03eebf"],
  [4294967303, 6, 16, 29, "f58450d39b3618b9b7919468a508766ddfbb601cbbe952151970c3a86fb85d33"],
  [1099511627779, 17, 31, 13, "6a47fbdf9d4c30ac3d521c77683bb138e7da1905420d6e8bf64caebfb22d3d8c"],
];

it.each(RECORDED)("seed %i, rank %i, %i → %i", (seed, rank, inFeatures, outFeatures, sha256) => {
  const { a, b } = projectionsOf(seed, { rank, inFeatures, outFeatures });
  const hash = createHash("sha256");
  for (const values of [a, b]) hash.update(new Uint8Array(values.buffer));
  expect(hash.digest("hex")).toBe(sha256);
});

it("the generator is MT19937: the ten thousandth word of seed 5489 is the one the standard names", () => {
  // C++ standard, [rand.predef]
  const random = new MersenneTwister(5489);
  for (let i = 1; i < 10_000; i++) random.next();
  expect(random.next()).toBe(4123659995);
});
