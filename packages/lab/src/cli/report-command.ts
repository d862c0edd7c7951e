/** `lowrank report`: from finished runs to a page, Markdown, figures and tables. */
import { join } from "node:path";
import { printable } from "@lowrank/tensor/check";
import { studyOf, studyText } from "../config/load.ts";
import { parseYaml } from "../config/yaml.ts";
import { InputError } from "../errors.ts";
import { loadPlugins } from "../plugins/load.ts";
import { PAGE, publishReport } from "../report/publish.ts";
import { reportOf, shortCode, type StudyFile } from "../report/model/report.ts";
import { documentOf } from "../report/write/document.ts";
import { storeRuns } from "../report/sources/store.ts";
import { VERDICTS } from "../report/write/verdict-words.ts";
import { findStores } from "../store/find-stores.ts";
import { objectOf } from "../store/run-files.ts";
import { readMeasured } from "../store/measured.ts";
import { cut } from "../text/shown.ts";
import { commandLine } from "./command-line.ts";
import { EXIT_OK } from "./outcome.ts";

export interface ReportOptions {
  readonly out: string;
  readonly measured?: readonly string[];
  readonly plugin?: readonly string[];
}

export async function reportCommand(from: string, files: readonly string[], options: ReportOptions): Promise<number> {
  await loadPlugins(options.plugin ?? []);
  const studies = await Promise.all(files.map(studyFile));
  const measured = (options.measured ?? []).map(readMeasured);
  const stores = findStores(from);
  if (stores.length === 0)
    throw new InputError(
      `${cut(from)}: holds no runs; give the folder that "lowrank run" had as --out, or one with result lines`,
    );
  const report = reportOf(storeRuns(stores), studies, measured);
  publishReport(options.out, report, documentOf(report, commandLine()));
  const verdicts = report.studies.flatMap(({ study, code, sayings }) =>
    sayings.map(({ says, verdict }) => {
      const of = report.studies.length > 1 ? `${study}, code ${shortCode(code)}: ` : "";
      return printable(`${of}${VERDICTS[verdict].toLowerCase()}: ${says}`);
    }),
  );
  process.stdout.write(
    `${[...report.notes.map(printable), ...verdicts, `report: ${join(options.out, PAGE)} (and report.md, claims.csv, runs.csv, figures/)`].join("\n")}\n`,
  );
  return EXIT_OK;
}

/** A base is where somebody keeps it, and a report needs none: where the study says no sizes, any name does. */
const NO_BASE = "no-base-is-read";

async function studyFile(nameOrFile: string): Promise<StudyFile> {
  const { text, source } = studyText(nameOrFile);
  const raw = parseYaml(text, source);
  const drawn = objectOf(raw)?.["model"] !== undefined;
  return { study: await studyOf(raw, source, drawn ? {} : { base: NO_BASE }), source, about: about(text) };
}

/** The comment that the file begins with, without words for editors. */
function about(text: string): string | undefined {
  const lines = text.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("#"));
  const words = lines
    .slice(0, Math.max(0, end))
    .map((line) => line.replace(/^#+ ?/, "").trim())
    .filter((line) => !line.startsWith("yaml-language-server:"))
    .join(" ")
    .trim();
  return words === "" ? undefined : words;
}
