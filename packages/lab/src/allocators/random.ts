/**
 * Controls. While training: AdaLoRA whose scores are drawn instead of measured, once, from a stream of the run's seed. Everything else is its own: triplets, schedule,
 * regularizer. Any triplet is as likely to stay as any other, and what has gone stays gone. Before training: each rank of the
 * budget goes to a module that is drawn, any alike that has room.
 */
import { fixedScores } from "@lowrank/peft";
import { RandomStream } from "@lowrank/tensor";
import { permutation } from "../random/seeds.ts";
import type { Allocator } from "../records/allocator.ts";

export const random: Allocator = {
  name: "random",
  usesGradients: false,
  regularizes: ({ orthRegWeight }) => orthRegWeight > 0,
  make(layers, { budget, options: { orthRegWeight }, seed }) {
    const count = layers.reduce((sum, { e }) => sum + e.size, 0);
    // 1, 2, … in a drawn order: no two are equal
    const scores = permutation(count, new RandomStream(seed, "allocator/random")).map((place) => place + 1);
    return fixedScores(
      layers,
      { kind: "random", reference: "none: scores drawn from the run's seed", scores },
      { ...budget, orthRegWeight },
    );
  },
  share(modules, { seed }) {
    const stream = new RandomStream(seed, "allocator/random");
    const ranks = new Map(modules.map(({ module }) => [module, 0]));
    for (let left = modules.reduce((sum, { rank }) => sum + rank, 0); left > 0; left--) {
      const room = modules.filter((m) => ranks.get(m.module)! < Math.min(m.in, m.out));
      const { module } = room[stream.integer(room.length)]!;
      ranks.set(module, ranks.get(module)! + 1);
    }
    return ranks;
  },
};
