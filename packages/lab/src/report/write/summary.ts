/** The first screen, for who has never heard of any of it: what was asked, what came out, how far it can be believed. */
import type { Block } from "../document.ts";
import { grouped } from "../grouped.ts";
import { counted, listed, metricScale } from "../numbers.ts";
import type { Saying } from "../model/claims.ts";
import type { Report, StudyReport, TaskReport } from "../model/report.ts";
import { seedKey } from "../model/scores.ts";
import { alarms } from "./alarms.ts";
import { compared, namesIn, namesOf } from "./compared.ts";
import { anchor, inStudy, onTask, studyId } from "./names.ts";
import { termsIn } from "./terms.ts";
import { foundWords, VERDICTS } from "./verdict-words.ts";

export function summary({ studies, notes }: Report): Block[] {
  const claimed = studies.some(({ sayings }) => sayings.length > 0);
  return [
    ...opening(studies),
    ...alarms(studies).map((text) => ({ kind: "paragraph", text, role: "alarm" }) as const),
    ...notes.map((text) => ({ kind: "paragraph", text, role: "alarm" }) as const),
    ...(claimed
      ? [{ kind: "heading", level: 2, text: "What was asked, and what came out", id: "verdicts" } as const]
      : []),
    ...studies.flatMap((study, place) => verdictsOf(study, place, inStudy(study, studies))),
    ...(claimed
      ? [{ kind: "paragraph", text: LEGEND, role: "note" } as const]
      : [noClaims(studies.some(({ missing }) => missing !== undefined))]),
    ...abouts(studies),
    ...studies.flatMap((study) =>
      study.tasks.map((task): Block => ({ kind: "paragraph", text: standings(task, inStudy(study, studies)) })),
    ),
    ...compared(studies),
  ];
}

const LEGEND =
  "The claims are those of the study's file; runs name the commit of their code, whose history tells whether the claims were there first. Supported: the runs speak clearly for it. Contradicted: they speak as clearly against it. Not decidable: they are too few, or scatter too much, to tell. A claim of several parts is supported where all of them are, and contradicted where one is. How a part is decided is told with each claim.";

/** @param given whether a study's file was there to have any */
function noClaims(given: boolean): Block {
  return {
    kind: "paragraph",
    role: "note",
    text: given
      ? "No claims are decided here: the study's file writes none down. What was not claimed beforehand is described and not tested."
      : "No claims are decided here: give the study's file, which has its claims, after the folder of its runs.",
  };
}

/** One study's own words come first; of several, what they have in common. */
function opening(studies: readonly StudyReport[]): Block[] {
  const common = { kind: "paragraph", text: background(studies) } as const;
  const [only, ...more] = studies;
  if (more.length > 0) return [{ ...common, role: "lead" }, ...termsIn(studies)];
  const about = only?.about === undefined ? [] : [{ kind: "paragraph", text: only.about, role: "lead" } as const];
  return [...about, common, ...termsIn(studies)];
}

/** What several studies are about, for who has read what came out. */
function abouts(studies: readonly StudyReport[]): Block[] {
  const items = studies.flatMap(({ study, about }) => (about === undefined ? [] : [[study, about] as const]));
  if (studies.length === 1 || items.length === 0) return [];
  return [
    { kind: "paragraph", text: "The studies, in their own words:" },
    { kind: "list", items },
  ];
}

/** `Of 5 claims in small (code c0dec0dec0de), 2 are supported, 1 is contradicted and 2 are not decidable.` */
function tally({ sayings }: StudyReport, where: string): string {
  const verdicts = sayings.map(({ verdict }) => verdict);
  const parts = Object.entries(VERDICTS).flatMap(([verdict, words]) => {
    const n = verdicts.filter((one) => one === verdict).length;
    return n === 0 ? [] : [`${n} ${n === 1 ? "is" : "are"} ${words.toLowerCase()}`];
  });
  return `Of ${counted(verdicts.length, "claim")}${where}, ${listed(parts)}.`;
}

function background(studies: readonly StudyReport[]): string {
  const configs = new Set(
    studies.flatMap(({ tasks }) => tasks.flatMap(({ scores }) => scores.map(({ config }) => config))),
  );
  const runs = studies.reduce((sum, study) => sum + study.runs.length, 0);
  const seeds = new Set(studies.flatMap((study) => study.seeds));
  const adapts = studies.some((study) => study.runs.some(({ modules }) => modules.length > 0));
  const what = adapts
    ? "A trained language model is fitted to a new task. Instead of changing all of its numbers, a small add-on beside them is trained (a LoRA adapter); its rank says how much room it has in each part of the model. "
    : "";
  const again =
    seeds.size > 1
      ? `${counted(runs, "run")} with ${counted(seeds.size, "random seed")}, since a single run may be luck`
      : `${counted(runs, "run")} with one random seed, so that luck cannot be told from merit`;
  return `${what}Compared here: ${counted(configs.size, "way")} of doing so, in ${again}.`;
}

function verdictsOf(study: StudyReport, place: number, where: string): Block[] {
  if (study.sayings.length === 0) return [];
  const names = namesOf(study);
  return [
    { kind: "paragraph", text: tally(study, where) },
    {
      kind: "verdicts",
      items: study.sayings.map((saying, i) => ({
        says: saying.says,
        tone: saying.verdict,
        verdict: VERDICTS[saying.verdict],
        texts: partWords(saying),
        names: namesIn(saying, names),
        id: anchor(studyId(study, place), "claim", i + 1),
      })),
    },
  ];
}

/** What was found of each part; where parts of a claim fare differently, how each does. */
function partWords({ parts }: Saying): string[] {
  const differ = new Set(parts.map(({ verdict }) => verdict)).size > 1;
  return parts.map((part) => `${differ ? `${VERDICTS[part.verdict]}: ` : ""}${foundWords(part)}`);
}

/** Who is first and last, as a mean. @param where of which study, where there are several */
function standings(task: TaskReport, where: string): string {
  const scale = metricScale(task.metric);
  const sign = task.better === "higher" ? -1 : 1;
  const mean = (i: number): number => task.scores[i]!.metrics[task.metric]!.mean;
  // means over different seeds are of different things: those of most seeds are told
  const seedsOf = (i: number): string => seedKey(task.scores[i]!);
  const alike = [
    ...grouped(
      task.scores.map((_, i) => i),
      seedsOf,
    ).values(),
  ].sort((a, b) => b.length - a.length)[0]!;
  const order = alike.filter((i) => Number.isFinite(mean(i))).sort((a, b) => sign * (mean(a) - mean(b)));
  const said = (i: number): string => `${task.scores[i]!.config} with ${scale.value(mean(i))}`;
  const rest = order.length === task.scores.length ? "" : "Others have other seeds. ";
  if (order.length === 0) return `Mean ${scale.label}${where}${onTask(task)}: of no config, since runs have no number.`;
  if (order.length === 1) return `Mean ${scale.label}${where}${onTask(task)}: ${said(order[0]!)}.`;
  return `Best mean ${scale.label}${where}${onTask(task)}: ${said(order[0]!)}. Last: ${said(order.at(-1)!)}. ${rest}Means alone do not say whether that is more than chance.`;
}
