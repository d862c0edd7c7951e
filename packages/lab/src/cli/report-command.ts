/** `lowrank report`: from finished runs to a page, Markdown, figures and tables. */
import { join } from "node:path";
import { printable } from "@lowrank/tensor/check";
import { studyOf, studyText } from "../config/load.ts";
import { parseYaml } from "../config/yaml.ts";
import { InputError } from "../errors.ts";
import { loadPlugins } from "../plugins/load.ts";
import { PAGE, publishReport } from "../report/publish.ts";
import { reportOf } from "../report/model/report.ts";
import { shortCode } from "../report/numbers.ts";
import type { StudyFile } from "../report/study-file.ts";
import { alarms } from "../report/write/alarms.ts";
import { documentOf } from "../report/write/document.ts";
import { foundRuns } from "../report/sources/found.ts";
import { VERDICTS } from "../report/write/verdict-words.ts";
import { objectOf } from "../store/run-files.ts";
import { readMeasured } from "../store/measured.ts";
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
  const measured = (options.measured ?? []).map((path) => {
    if (path.trim() === "") throw new InputError("--measured: is empty; give a file, such as measured.json");
    return readMeasured(path);
  });
  const report = reportOf(foundRuns(from), studies, measured);
  publishReport(options.out, report, documentOf(report, commandLine()));
  const verdicts = report.studies.flatMap(({ study, code, sayings }) =>
    sayings.map(({ says, verdict }) => {
      const of = report.studies.length > 1 ? `${study}, code ${shortCode(code)}: ` : "";
      return printable(`${of}${VERDICTS[verdict].toLowerCase()}: ${says}`);
    }),
  );
  process.stdout.write(
    `${[...[...report.notes, ...alarms(report.studies)].map(printable), ...verdicts, `report: ${join(options.out, PAGE)} (and report.md, claims.csv, runs.csv, figures/)`].join("\n")}\n`,
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

/** The first paragraph of the comment that the file begins with, without words for editors and commands. */
function about(text: string): string | undefined {
  const lines = text.split("\n").map((line) => (line.startsWith("#") ? line.slice(1) : undefined));
  const start = lines.findIndex((line) => line?.trim().startsWith("yaml-language-server:") !== true);
  const rest = lines.slice(start);
  const end = rest.findIndex((line) => line === undefined || line.trim() === "" || /^ {2,}/.test(line));
  const words = rest
    .slice(0, end)
    .map((line) => line!.trim())
    .join(" ");
  // "… Needs no data:" says what the command after it needs
  const said = words.replace(/[^.?!]*:$/, "").trim();
  return said === "" ? undefined : said;
}
