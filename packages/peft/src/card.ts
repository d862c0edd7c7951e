/** The model card of an adapter: README.md with what the hub reads in front, then what a person asks first. */
import type { WritableFiles } from "@lowrank/tensor";
import { encodeUtf8 } from "@lowrank/tensor";

/** What is known of how an adapter came to be. */
export interface CardFacts {
  /** What it was trained on: a data set's name, files. */
  readonly data?: string;
  /** Measured in the end, by name. */
  readonly metrics?: Readonly<Record<string, number>>;
  readonly seed?: number;
  /** What makes it again. */
  readonly command?: string;
}

/** What the adapter says of itself. */
export interface CardSubject {
  readonly method: string;
  readonly peftType: string;
  readonly base: string | undefined;
  readonly revision: string | undefined;
  readonly task: string | undefined;
  readonly parameters: number;
}

const CARD = "README.md";
/** Who wrote a card may write it again; one that a person wrote stays. */
const MARK = "<!-- written by lowrank; a card without this line is left as it is -->";

/** PEFT's task types, in the hub's words. */
const PIPELINES: Readonly<Record<string, string>> = {
  SEQ_CLS: "text-classification",
  TOKEN_CLS: "token-classification",
  QUESTION_ANS: "question-answering",
  CAUSAL_LM: "text-generation",
  FEATURE_EXTRACTION: "feature-extraction",
};

/** @returns Markdown with YAML in front */
export function modelCard(subject: CardSubject, facts: CardFacts = {}): string {
  const { method, peftType, base, revision, task, parameters } = subject;
  const { data, metrics = {}, seed, command } = facts;
  // JSON's strings are YAML's too
  const yaml = (value: string): string => JSON.stringify(value);
  const pipeline = task === undefined ? undefined : PIPELINES[task];
  const front = [
    ...(base === undefined ? [] : [`base_model: ${yaml(base)}`]),
    "library_name: peft",
    ...(pipeline === undefined ? [] : [`pipeline_tag: ${pipeline}`]),
    "tags:",
    ...(base === undefined ? [] : [`- ${yaml(`base_model:adapter:${base}`)}`]),
    `- ${peftType.toLowerCase()}`,
    "- lowrank",
  ];
  const rows: [string, string][] = [
    ["method", method],
    ["base", base === undefined ? "not known" : `${base}${revision === undefined ? "" : `, revision ${revision}`}`],
    ["trained values", String(parameters)],
    ["data", data ?? "not known"],
    ["seed", seed === undefined ? "not known" : String(seed)],
    ...Object.entries(metrics).map(([name, value]): [string, string] => [name, String(value)]),
  ];
  // a bar would end a cell
  const cell = (value: string): string => value.replaceAll("|", "\\|").replace(/\s+/g, " ");
  return `---
${front.join("\n")}
---
${MARK}

# ${method} adapter

| | |
| --- | --- |
${rows.map(([name, value]) => `| ${cell(name)} | ${cell(value)} |`).join("\n")}

\`adapter_config.json\` and \`adapter_model.safetensors\` are in the form of Hugging Face's PEFT.
${command === undefined ? "" : `\nMade with:\n\n\`\`\`\n${command}\n\`\`\`\n`}`;
}

/** Writes the card, unless a person's own stands there. */
export async function writeCard(files: WritableFiles, text: string): Promise<void> {
  if ((await files.exists(CARD)) && !(await files.text(CARD)).includes(MARK)) return;
  await files.write(CARD, async (sink) => sink(encodeUtf8(text)));
}
