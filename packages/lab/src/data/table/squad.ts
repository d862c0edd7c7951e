/** SQuAD's form: articles of paragraphs of questions, as a row a question with `id`, `title`, `context`, `question`, `answers` and `is_impossible`. */
import { quote } from "@lowrank/tensor";
import { InputError } from "../../errors.ts";
import { tableOf, type Table } from "./table.ts";

/** A parsed JSON document that has a list of articles under `data`. */
export interface SquadDocument {
  readonly data: readonly unknown[];
}

export function isSquad(document: unknown): document is SquadDocument {
  return typeof document === "object" && document !== null && Array.isArray((document as { data?: unknown }).data);
}

/** @throws InputError with the path in the document, for what is missing or of another kind */
export function squadTable(document: SquadDocument, name: string): Table {
  const rows: Record<string, unknown>[] = [];
  const places: string[] = [];
  for (const [a, article] of document.data.entries()) {
    const { title, paragraphs } = objectAt(article, `${name}: data[${a}]`);
    for (const [p, paragraph] of listAt(paragraphs, `${name}: data[${a}].paragraphs`).entries()) {
      const at = `data[${a}].paragraphs[${p}]`;
      const { context, qas } = objectAt(paragraph, `${name}: ${at}`);
      for (const [q, question] of listAt(qas, `${name}: ${at}.qas`).entries()) {
        const { id, question: asked, answers, is_impossible } = objectAt(question, `${name}: ${at}.qas[${q}]`);
        rows.push({ id, title, context, question: asked, answers, is_impossible });
        places.push(`${name}: ${at}.qas[${q}]`);
      }
    }
  }
  return tableOf(rows, name, (i) => places[i] ?? name);
}

function objectAt(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new InputError(`${where}: is ${quote(value)}, and SQuAD's form has an object there`);
}

function listAt(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new InputError(`${where}: is ${quote(value)}, and SQuAD's form has a list there`);
}
