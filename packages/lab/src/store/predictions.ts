/** Two runs' `predictions.jsonl` item by item: how many are said otherwise, and who was right where labels are known. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { mcnemar } from "../statistics/mcnemar.ts";
import { withFile, parsedObject } from "./run-files.ts";

export interface PredictionComparison {
  /** Items that both have. */
  readonly items: number;
  /** Items of only one of them. */
  readonly unmatched: number;
  readonly different: number;
  /** Present where every compared item has one label in both. */
  readonly mcnemar?: {
    readonly bothRight: number;
    readonly onlyFirst: number;
    readonly onlySecond: number;
    readonly bothWrong: number;
    /** Two-sided, exact. */
    readonly p: number;
  };
}

type Item = Readonly<Record<string, unknown>>;

/** Undefined where one of them has no predictions. Lines are matched by `index`, in order. */
export async function comparePredictions(a: string, b: string): Promise<PredictionComparison | undefined> {
  const [x, y] = [itemsOf(a), itemsOf(b)];
  if (x === undefined || y === undefined) return undefined;
  const count = { items: 0, unmatched: 0, different: 0, bothRight: 0, onlyFirst: 0, onlySecond: 0, bothWrong: 0 };
  let labelled = true;
  let [p, q] = [await x.next(), await y.next()];
  while (p.done !== true || q.done !== true) {
    const [i, j] = [indexOf(p), indexOf(q)];
    if (i !== j) {
      count.unmatched++;
      if (i < j) p = await x.next();
      else q = await y.next();
      continue;
    }
    const [first, second] = [p.value as Item, q.value as Item];
    const said = (item: Item): string => JSON.stringify(item["prediction"]);
    const [label, other] = [JSON.stringify(first["label"]), JSON.stringify(second["label"])];
    count.items++;
    if (said(first) !== said(second)) count.different++;
    labelled &&= label !== undefined && label === other;
    const [right, rightToo] = [said(first) === label, said(second) === label];
    count[right ? (rightToo ? "bothRight" : "onlyFirst") : rightToo ? "onlySecond" : "bothWrong"]++;
    [p, q] = [await x.next(), await y.next()];
  }
  const { items, unmatched, different, ...rest } = count;
  return {
    items,
    unmatched,
    different,
    ...(labelled && items > 0 ? { mcnemar: { ...rest, p: mcnemar(rest.onlyFirst, rest.onlySecond).exact } } : {}),
  };
}

function indexOf(next: IteratorResult<Item, unknown>): number {
  if (next.done === true) return Number.POSITIVE_INFINITY;
  const index = next.value["index"];
  return typeof index === "number" ? index : Number.NaN;
}

/** Items of a run, a line at a time; lines that are none are left out. */
function itemsOf(folder: string): AsyncGenerator<Item, undefined> | undefined {
  const file = "predictions.jsonl";
  // an ordinary file of the folder, not a link
  if (withFile(folder, file, () => true) === undefined) return undefined;
  return (async function* () {
    for await (const line of createInterface({ input: createReadStream(join(folder, file)) })) {
      const item = parsedObject(line);
      if (item !== undefined && typeof item["index"] === "number") yield item;
    }
    return undefined;
  })();
}
