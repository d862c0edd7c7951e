/** The second reader's models: each definition once, without tables, queues or memory. */
import { ENCODER } from "./naive-text.ts";
import { bool, list, need, num, record, str, type Raw } from "./naive-values.ts";

/** Tokens and their ids; each id once. */
export function vocabularyOf(value: unknown): Map<string, number> {
  const vocab = new Map(Object.entries(record(value)).map(([token, id]) => [token, num(id)]));
  need(new Set(vocab.values()).size === vocab.size, "each id once");
  return vocab;
}
const bytesOf = (text: string, vocab: Map<string, number>): string[] | undefined => {
  const tokens = [...ENCODER.encode(text)].map((b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`);
  return tokens.every((t) => vocab.has(t)) ? tokens : undefined;
};

export function wordPiece(word: string, model: Raw, vocab: Map<string, number>): number[] {
  const unknown = [vocab.get(str(model["unk_token"]))!];
  if ([...word].length > num(model["max_input_chars_per_word"])) return unknown;
  const ids: number[] = [];
  for (let rest = [...word]; rest.length > 0;) {
    const lead = ids.length > 0 ? str(model["continuing_subword_prefix"]) : "";
    let taken = rest.length;
    while (taken > 0 && !vocab.has(lead + rest.slice(0, taken).join(""))) taken--;
    if (taken === 0) return unknown;
    ids.push(vocab.get(lead + rest.slice(0, taken).join(""))!);
    rest = rest.slice(taken);
  }
  return ids;
}

export function bytePair(word: string, model: Raw, vocab: Map<string, number>): number[] {
  const optional = (key: string): boolean => model[key] !== undefined && model[key] !== null && bool(model[key]);
  const text = (key: string): string => (model[key] === undefined || model[key] === null ? "" : str(model[key]));
  if (optional("ignore_merges") && vocab.has(word)) return [vocab.get(word)!];
  const unknown = text("unk_token");
  const prefix = text("continuing_subword_prefix");
  const symbols: string[] = [];
  let waiting = 0;
  const flush = (): void => void (symbols.push(...Array.from({ length: waiting }, () => unknown)), (waiting = 0));
  const characters = [...word];
  for (const [i, character] of characters.entries()) {
    const spelt = (i > 0 ? prefix : "") + character + (i === characters.length - 1 ? text("end_of_word_suffix") : "");
    const bytes = optional("byte_fallback") ? bytesOf(spelt, vocab) : undefined;
    if (vocab.has(spelt)) flush();
    if (vocab.has(spelt)) symbols.push(spelt);
    else if (bytes !== undefined) symbols.push(...bytes);
    else if (model["unk_token"] !== undefined && model["unk_token"] !== null) {
      if (!optional("fuse_unk")) flush();
      waiting = 1;
    }
  }
  flush();
  const ranks = new Map(list(model["merges"]).map((m, rank) => [pairOf(m).join("\0"), rank]));
  for (;;) {
    let best = Infinity;
    for (let i = 0; i + 1 < symbols.length; i++)
      best = Math.min(best, ranks.get(`${symbols[i]}\0${symbols[i + 1]}`) ?? Infinity);
    if (best === Infinity) return symbols.map((s) => vocab.get(s)!);
    const at = symbols.findIndex((s, i) => ranks.get(`${s}\0${symbols[i + 1]}`) === best);
    const right = symbols[at + 1]!;
    symbols.splice(at, 2, symbols[at]! + (right.startsWith(prefix) ? right.slice(prefix.length) : right));
  }
}
const pairOf = (merge: unknown): string[] => (typeof merge === "string" ? merge.split(" ") : list(merge).map(str));

export function unigram(word: string, model: Raw): number[] {
  const entries = list(model["vocab"]).map((e): [string, number] => [str(list(e)[0]), num(list(e)[1], -Infinity)]);
  const ids = new Map(entries.map(([token], id) => [token, id]));
  const unknown = model["unk_id"] ?? undefined;
  const worst = Math.min(...entries.map(([, score]) => score));
  const characters = [...word];
  const best: { sum: number; start: number; unknown: boolean }[] = [{ sum: 0, start: -1, unknown: false }];
  for (let end = 1; end <= characters.length; end++)
    for (let start = 0; start < end; start++) {
      const id = ids.get(characters.slice(start, end).join(""));
      if (id === undefined && end - start > 1) continue;
      const sum = best[start]!.sum + (id === undefined ? worst - 10 : entries[id]![1]);
      if (sum > (best[end]?.sum ?? -Infinity)) best[end] = { sum, start, unknown: id === undefined || id === unknown };
    }
  let tokens: { text: string; unknown: boolean }[] = [];
  for (let end = characters.length; end > 0; end = best[end]!.start) {
    const { start, unknown: is } = best[end]!;
    tokens = [{ text: characters.slice(start, end).join(""), unknown: is }, ...tokens];
  }
  for (let i = 1; i < tokens.length;)
    if (tokens[i]!.unknown && tokens[i - 1]!.unknown)
      tokens.splice(i - 1, 2, { text: tokens[i - 1]!.text + tokens[i]!.text, unknown: true });
    else i++;
  const falls = model["byte_fallback"] !== undefined && model["byte_fallback"] !== null && bool(model["byte_fallback"]);
  return tokens.flatMap(({ text }) => {
    if (ids.has(text)) return [ids.get(text)!];
    return (falls ? bytesOf(text, ids)?.map((t) => ids.get(t)!) : undefined) ?? [num(unknown)];
  });
}
