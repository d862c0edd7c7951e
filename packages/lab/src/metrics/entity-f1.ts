/**
 * F1 of entities: one is found where its type, its first and its last word are right. Over all entities together (micro), as the CoNLL
 * evaluation and seqeval's default count; 0 where there are none (`zero_division=0`). Entities never run across rows.
 */
import { entitiesOf, type Entity } from "../data/iob.ts";
import { InvariantError } from "@lowrank/tensor/check";
import type { Metric, TaggedItems } from "../records/metric.ts";

interface Tally {
  gold: number;
  found: number;
  correct: number;
}

type Count = ReadonlyMap<string, Tally>;

export const entityF1: Metric<TaggedItems, Count> = {
  name: "entity-f1",
  label: "entity F1",
  items: "tags",
  better: "higher",
  unit: "share",
  update(before = new Map<string, Tally>(), { gold, predicted }) {
    const counts = new Map(before);
    const of = (type: string): Tally => {
      const tally = { ...(counts.get(type) ?? { gold: 0, found: 0, correct: 0 }) };
      counts.set(type, tally);
      return tally;
    };
    if (gold.length !== predicted.length)
      throw new InvariantError(`entity-f1: ${predicted.length} rows of predictions for ${gold.length} rows of tags`);
    for (const [row, tags] of gold.entries()) {
      const guess = predicted[row]!;
      if (guess.length !== tags.length)
        throw new InvariantError(`entity-f1: row ${row} has ${guess.length} predictions for ${tags.length} tags`);
      const wanted = new Set(entitiesOf(tags).map(keyOf));
      for (const entity of entitiesOf(tags)) of(entity.type).gold++;
      for (const entity of entitiesOf(guess)) {
        const tally = of(entity.type);
        tally.found++;
        if (wanted.has(keyOf(entity))) tally.correct++;
      }
    }
    return counts;
  },
  value: (counts) => scores(sum([...counts.values()])).f1,
  detail(counts) {
    const types = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    const { precision, recall } = scores(sum([...counts.values()]));
    return {
      entities: Object.fromEntries(
        [["all", sum([...counts.values()])] as const, ...types].map(([type, tally]) => [
          type,
          { ...scores(tally), support: tally.gold },
        ]),
      ),
      entityPrecision: precision,
      entityRecall: recall,
    };
  },
};

function keyOf({ type, first, last }: Entity): string {
  return `${first}-${last}-${type}`;
}

function sum(tallies: readonly Tally[]): Tally {
  const all = { gold: 0, found: 0, correct: 0 };
  for (const { gold, found, correct } of tallies) {
    all.gold += gold;
    all.found += found;
    all.correct += correct;
  }
  return all;
}

function scores({ gold, found, correct }: Tally): { precision: number; recall: number; f1: number } {
  const share = (of: number): number => (of === 0 ? 0 : correct / of);
  const [precision, recall] = [share(found), share(gold)];
  return { precision, recall, f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall) };
}
