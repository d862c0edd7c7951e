/** A causal model goes on with texts: documents, completions of prompts, what the assistant says in chats. */
import type { ChatMessage } from "@lowrank/models/chat";
import { quote } from "@lowrank/tensor";
import { z } from "zod";
import { CausalRows, type ItemText } from "../data/causal-rows.ts";
import { answerTokens, chatTokens, documentTokens, type LearntText } from "../data/causal-texts.ts";
import { textCell, type Columns } from "../data/table/columns.ts";
import type { Row, Table } from "../data/table/table.ts";
import { InputError } from "../errors.ts";
import type { EncodeContext, RowItem, RowTask } from "../records/row-task.ts";
import { nextToken, TextLosses } from "./next-token.ts";
import { countedLosses, lossAnswers, meanLossOf, type LossAnswer } from "./rows/loss-answers.ts";

export interface CausalLmOptions {
  /** `answers`: completions, and what the assistant says; `everything`: prompts and what others say, too. Of documents everything is learnt. */
  readonly learn: "answers" | "everything";
  /** Whether texts that are trained on share rows of `maxLength` tokens. They do not see each other. */
  readonly packing: boolean;
}

interface Document extends RowItem {
  readonly text: string;
  /** Whether the document goes on in the next row. */
  readonly continues: boolean;
}
interface Completion extends RowItem {
  readonly prompt: string;
  readonly completion: string;
}
interface Chat extends RowItem {
  readonly messages: readonly ChatMessage[];
}
type Item = Document | Completion | Chat;

/** Which columns make a row: a form each. */
const FORMS = [["text"], ["prompt", "completion"], ["messages"]] as const;

export const causalLm: RowTask<CausalLmOptions, Item, LossAnswer> = {
  ...nextToken,
  name: "causal-lm",
  columns: {
    text: { names: ["text", "content", "document"], needed: "optional" },
    continues: { names: ["continues"], needed: "optional" },
    prompt: { names: ["prompt", "instruction", "question"], needed: "optional" },
    completion: { names: ["completion", "response", "answer", "output"], needed: "optional" },
    messages: { names: ["messages", "conversations", "conversation", "chat"], needed: "optional" },
  },
  chats: true,
  options: { learn: z.enum(["answers", "everything"]).default("answers"), packing: z.boolean().default(false) },
  read(table, columns, { options }) {
    const { text, prompt, completion, messages, continues } = formOf(table, columns);
    return table.rows.map((_, row): Item => {
      if (text !== undefined)
        return { row, text: textCell(table, row, text), continues: continuesIn(table, row, continues) };
      if (messages !== undefined) return { row, messages: messagesIn(table, row, messages, options) };
      return { row, prompt: textCell(table, row, prompt!), completion: textCell(table, row, completion!) };
    });
  },
  key: ({ row: _, ...content }) => JSON.stringify(content),
  labels: () => [],
  encode({ items, place }, context) {
    const { tokenizer, padId, maxLength, options, part } = context;
    // what is said of a text depends on no other, to the bit
    const packed = options.packing && part === "train";
    const { bos } = tokenizer.specialTokens;
    const texts = items.map((item): ItemText => {
      const text = encoded(item, context, () => place(item));
      return { ...text, splits: "text" in item };
    });
    return CausalRows.of(
      texts,
      { padId, maxLength, packed, bos: bos === undefined ? undefined : tokenizer.idOf(bos) },
      (i) => place(items[i]!),
    );
  },
  collector({ items }, examples) {
    const rows = examples as CausalRows;
    const losses = new TextLosses(rows);
    return {
      take: (batch, outputs) => losses.take(batch, outputs),
      finish: () =>
        lossAnswers(
          items.length,
          Array.from(rows.itemOf, (item, text) => ({ item, sum: losses.sums[text]!, tokens: rows.targets[text]! })),
        ),
    };
  },
  counted: countedLosses,
  meanLoss: meanLossOf,
};

function encoded(
  item: Item,
  { tokenizer, options, chat }: EncodeContext<CausalLmOptions>,
  place: () => string,
): LearntText {
  if ("text" in item) return documentTokens(tokenizer, item.text, !item.continues);
  const everything = options.learn === "everything";
  if ("messages" in item) return chatTokens(chat!(), tokenizer, item.messages, everything ? undefined : place());
  return answerTokens(tokenizer, item.prompt, item.completion, { everything });
}

/** The columns of the one form that the table has. @throws InputError for none and for two */
function formOf(table: Table, columns: Columns): Columns {
  const forms = FORMS.filter((roles) => roles.some((role) => columns[role] !== undefined));
  const [form] = forms;
  const missing = form?.find((role) => columns[role] === undefined);
  if (forms.length === 1 && missing === undefined) return columns;
  const names = table.columns.map((column) => quote(column)).join(", ");
  if (form === undefined)
    throw new InputError(
      `${table.name}: a causal model learns from a column text, from prompt and completion, or from messages, and the columns are ${names}; say columns.text, columns.prompt and columns.completion, or columns.messages (--column text=NAME in a command)`,
    );
  throw new InputError(
    missing !== undefined && forms.length === 1
      ? `${table.name}: there is a ${form.find((role) => role !== missing)} and no ${missing}; the columns are ${names}; say columns.${missing} (--column ${missing}=NAME in a command)`
      : `${table.name}: ${forms.map((roles) => roles.join(" and ")).join(", or ")} may be meant; leave out the others: columns.${forms[1]![0]}: null (--set task.columns.${forms[1]![0]}=null in a command)`,
  );
}

function cellOf(table: Table, row: number, column: string): unknown {
  return (table.rows[row] as Row)[column];
}

function continuesIn(table: Table, row: number, column: string | undefined): boolean {
  if (column === undefined) return false;
  const value = cellOf(table, row, column);
  if (value === true || value === "true") return true;
  if (value === false || value === "false" || value === undefined || value === null || value === "") return false;
  throw new InputError(`${table.place(row)}: ${quote(column)} is ${quote(value)}, and true or false is needed`);
}

/** A list of messages, or the JSON of one. */
function messagesIn(
  table: Table,
  row: number,
  column: string,
  { learn }: Pick<CausalLmOptions, "learn">,
): readonly ChatMessage[] {
  const value = cellOf(table, row, column);
  const messages = typeof value === "string" ? jsonIn(value) : value;
  const at = `${table.place(row)}: ${quote(column)}`;
  if (!Array.isArray(messages) || messages.length === 0)
    throw new InputError(`${at} is no list of messages; write [{"role": "user", "content": "…"}, …]`);
  const roles = messages.map((message: unknown) => {
    const role = (message as { readonly role?: unknown } | null)?.role;
    if (typeof role === "string") return role;
    throw new InputError(
      `${at} has a message without a role: ${quote(message)}; write {"role": "user", "content": "…"}`,
    );
  });
  if (learn === "answers" && !roles.includes("assistant"))
    throw new InputError(
      `${at} has no turn of the assistant, so there is nothing to learn; its roles are ${[...new Set(roles)].join(", ")}`,
    );
  return messages as readonly ChatMessage[];
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
