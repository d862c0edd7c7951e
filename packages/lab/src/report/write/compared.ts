/** What the names of configs stand for, which is one study's affair: another may use a name for something else. */
import type { Block } from "../document.ts";
import { configWords } from "../config-words.ts";
import { grouped } from "../grouped.ts";
import type { Saying } from "../model/claims.ts";
import type { StudyReport } from "../model/report.ts";
import { inStudy } from "./names.ts";

/** A list for each study. */
export function compared(studies: readonly StudyReport[]): Block[] {
  return studies.flatMap((study): Block[] => {
    return [
      { kind: "paragraph", text: `What was compared${inStudy(study, studies)}:` },
      { kind: "list", items: [...namesOf(study)] },
    ];
  });
}

export function namesOf({ runs }: StudyReport): Map<string, string> {
  return new Map([...grouped(runs, ({ config }) => config)].map(([config, of]) => [config, configWords(of)]));
}

/** `b-fp: LoRA, rank 8. b-ada: AdaLoRA, rank 12.` */
export function namesIn({ parts }: Saying, names: ReadonlyMap<string, string>): string {
  return [...new Set(parts.flatMap(({ claim }) => claim.configs.flat()))]
    .flatMap((config) => (names.has(config) ? [`${config}: ${names.get(config)!}.`] : []))
    .join(" ");
}
