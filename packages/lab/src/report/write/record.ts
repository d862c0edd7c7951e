/** What somebody needs who wants to check or repeat it: settings, proofs, machines, code. */
import type { Block } from "../document.ts";
import { grouped } from "../grouped.ts";
import type { StudyReport, TaskReport } from "../model/report.ts";
import { bytes, counted, listed, NONE } from "../numbers.ts";
import type { ReportRun } from "../run.ts";
import { anchor, onTask } from "./names.ts";

export function record(study: StudyReport, id: string): Block[] {
  return [
    { kind: "heading", level: 3, text: "For checking and repeating", id: anchor(id, "record") },
    ...study.tasks.map(settings),
    ...proofs(study),
    machines(study),
    runList(study),
  ];
}

function settings(task: TaskReport): Block {
  const { configs, common, apart } = task.settings;
  return {
    kind: "details",
    summary: `Resolved settings${onTask(task)}, all defaults filled in`,
    blocks: [
      {
        kind: "table",
        caption: "What configs differ in",
        columns: [{ title: "key" }, ...configs.map((title) => ({ title }))],
        rows: apart.map(({ key, values }) => [key, ...values.map((value) => short(value ?? NONE))]),
      },
      {
        kind: "table",
        caption: "The same in all",
        columns: [{ title: "key" }, { title: "value" }],
        rows: common.map(([key, value]) => [key, short(value)]),
      },
    ],
  };
}

/** Lists of a hundred modules are in the runs. */
function short(value: string): string {
  return value.length <= 160 ? value : `${value.slice(0, 159)}…`;
}

function proofs({ proofs: of }: StudyReport): Block[] {
  if (of.length === 0) return [];
  const all = of.reduce((sum, { runs: count }) => sum + count, 0);
  const holding = of.reduce((sum, { holds }) => sum + holds, 0);
  return [
    {
      kind: "paragraph",
      text: `Every run proves of itself that what it switches on was on, and nothing else: ${holding === all ? `all ${counted(all, "proof")} hold` : `${counted(holding, "proof")} of ${all} hold`}.`,
    },
    {
      kind: "details",
      summary: "Proofs by name",
      blocks: [
        {
          kind: "table",
          caption: "Proofs",
          columns: [
            { title: "proof" },
            { title: "runs", align: "right" },
            { title: "hold", align: "right" },
            { title: "does not hold in" },
          ],
          rows: of.map(({ name, runs: count, holds, fails }) => [
            name,
            String(count),
            String(holds),
            fails.length === 0 ? NONE : listed(fails),
          ]),
        },
      ],
    },
  ];
}

function machines({ machines: of, code, device, runs }: StudyReport): Block {
  const commits = [...new Set(runs.flatMap(({ commit }) => commit ?? []))];
  const from = commits.length === 0 ? "" : `, checked out from ${listed(commits.map((commit) => `commit ${commit}`))},`;
  return {
    kind: "table",
    caption: `Made by code ${code}${from} on ${device}`,
    columns: [
      { title: "processor" },
      { title: "cores", align: "right" },
      { title: "threads", align: "right" },
      { title: "memory", align: "right" },
      { title: "system" },
      { title: "Node" },
      { title: "runs", align: "right" },
    ],
    rows: of.map(({ cpu, cores, threads, memoryBytes, platform, node, runs: count }) => [
      cpu ?? NONE,
      cores === undefined ? NONE : String(cores),
      threads === undefined ? "all" : String(threads),
      memoryBytes === undefined ? NONE : bytes(memoryBytes),
      platform ?? NONE,
      node ?? NONE,
      String(count),
    ]),
  };
}

/** Beyond this many, runs are in the CSV alone. */
const MOST_LISTED = 200;

function runList({ runs: of, twins }: StudyReport): Block {
  const alike = twins.filter(({ identical }) => identical === "labels");
  return {
    kind: "details",
    summary: `All ${counted(of.length, "run")}`,
    blocks: [
      ...(alike.length === 0
        ? []
        : [
            {
              kind: "paragraph",
              role: "note",
              text: `The same decisions, from different logits: ${listed(alike.slice(0, 10).map(({ configs, seed }) => `${configs.join(" and ")} with seed ${seed}`))}.`,
            } as const,
          ]),
      of.length > MOST_LISTED
        ? { kind: "paragraph", text: `There are too many to list; runs.csv has them.` }
        : {
            kind: "table",
            caption: `Runs, whose names are a config's, a seed's and how the identity begins, as ${of[0]!.name}; runs.csv has all their numbers`,
            columns: [{ title: "runs of" }, { title: "steps", align: "right" }, { title: "seed and identity" }],
            rows: [...grouped(of, (run) => `${cellOf(run)} ${run.steps}`).values()].map((alike) => [
              cellOf(alike[0]!),
              String(alike[0]!.steps),
              alike.map((run) => run.name.slice(cellOf(run).length + 1)).join(", "),
            ]),
          },
    ],
  };
}

/** A run's name without what tells it from the others of its config and task. */
function cellOf({ name, seed }: ReportRun): string {
  return name.slice(0, name.lastIndexOf(`-s${seed}-`));
}
