/** Tensors in rows, those of all layers together under the name that they share. */
import { groupTensors, type TensorFacts } from "@lowrank/models";
import { formatBytes, formatCount } from "../text/format.ts";
import { renderColumns } from "../text/columns.ts";

const COLUMNS = [
  { title: "tensor" },
  { title: "dtype" },
  { title: "shape" },
  { title: "×", align: "right" },
  { title: "bytes", align: "right" },
] as const;

/** Numbers and ranges of them, as they stand in a pattern. */
const NUMBERS = /\{[^}]*\}|(?<=^|\.)\d+(?=\.|$)/g;

/** @param all every tensor by itself */
export function tensorTable(tensors: readonly TensorFacts[], { tensors: all }: { readonly tensors: boolean }): string {
  if (tensors.length === 0) return "";
  const shape = (dims: readonly number[]): string => `[${dims.join(", ")}]`;
  if (all)
    return renderColumns(
      COLUMNS.filter(({ title }) => title !== "×"),
      tensors.map((t) => [t.name, t.dtype, shape(t.shape), formatBytes(t.bytes)]),
    );
  const unions = unionsOf(tensors);
  /** By what stands above: rows by their own name, so that those of other dtypes or layers follow one another. */
  const sections = new Map<string, Map<string, string[][]>>();
  for (const { pattern, dtype, shape: dims, count, bytes } of groupTensors(tensors)) {
    const { prefix, rest } = cut(pattern);
    const union = unions.get(prefix.replace(NUMBERS, "{}")) ?? "";
    const own = union === "" || prefix === union ? "" : ` ${short(prefix.match(NUMBERS)!.at(-1)!)}`;
    const name = `${union === "" ? "" : "  "}${rest}${own}`;
    const row = [name, dtype, shape(dims), count === 1 ? "" : formatCount(count), formatBytes(bytes)];
    // what is in no layer stands where it stands
    const at = union === "" ? rest : union;
    const section = sections.get(at) ?? new Map<string, string[][]>();
    sections.set(
      at,
      section.set(rest, [
        ...(section.get(rest) ?? (union === "" || section.size > 0 ? [] : [[union, "", "", "", ""]])),
        row,
      ]),
    );
  }
  return renderColumns(
    COLUMNS,
    [...sections.values()].flatMap((section) => [...section.values()].flat()),
  );
}

/** Longest list of layers that is shown; the number of them stands in its own column. */
const LONGEST = 16;

function short(numbers: string): string {
  return numbers.length <= LONGEST ? numbers : `${numbers.slice(0, numbers.lastIndexOf(",", LONGEST - 3) + 1)}…}`;
}

/** A name up to its last number, and what follows. */
function cut(name: string): { readonly prefix: string; readonly rest: string } {
  const last = [...name.matchAll(NUMBERS)].at(-1);
  if (last === undefined) return { prefix: "", rest: name };
  const end = last.index + last[0].length;
  return { prefix: name.slice(0, end), rest: name.slice(end + 1) };
}

/** What all tensors of a layer have before their own names, with every number that there is. */
function unionsOf(tensors: readonly TensorFacts[]): ReadonlyMap<string, string> {
  const layers = tensors.flatMap(({ name }) => {
    const { prefix } = cut(name);
    return prefix === "" ? [] : [{ name: prefix, dtype: "", shape: [], bytes: 0 }];
  });
  return new Map(groupTensors(layers).map(({ pattern }) => [pattern.replace(NUMBERS, "{}"), pattern]));
}
