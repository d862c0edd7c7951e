/** Which items a run decided rightly, told from its `predictions.jsonl`. */
import { parsedObject } from "../../store/run-files.ts";
import type { Judged } from "../run.ts";

/** Undefined where an item has no one label, as answers and tokens have not. */
export function judgedIn(text: string): Judged | undefined {
  const labels: string[] = [];
  let right = "";
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const item = parsedObject(line);
    const [label, said] = [JSON.stringify(item?.["label"]), JSON.stringify(item?.["prediction"])];
    if (label === undefined || said === undefined) return undefined;
    labels.push(label);
    right += label === said ? "1" : "0";
  }
  return right === "" ? undefined : { labels: labels.join(), right };
}
