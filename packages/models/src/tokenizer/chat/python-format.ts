/** Texts with places for values: `'%s-%05.2f' % …` and `'{} {0} {name}'.format(…)`, without what no chat template has. */
import { spendText } from "./limits.ts";
import { pythonText, repr } from "./python-text.ts";
import { isNumber, numberOf, type Arguments, type Value } from "./values.ts";

const WIDEST = 1000;
const PLACE = /%(?:%|([-0+ ]*)(\d*)(?:\.(\d+))?([a-zA-Z]))/gu;

export function formatted(pattern: string, values: readonly Value[]): string {
  let next = 0;
  const out = pattern.replace(
    PLACE,
    (place, flags: string, width: string, digits: string | undefined, kind: string) => {
      if (place === "%%") return "%";
      const value = values[next++];
      if (value === undefined) throw new Error("not enough arguments for format string");
      if (Number(width) > WIDEST || Number(digits ?? 0) > 100) throw new Error(`the place ${place} is too wide`);
      const shown = shownAs(kind, value, digits === undefined ? undefined : Number(digits));
      const signed = flags.includes("+") && isNumber(value) && !shown.startsWith("-") ? `+${shown}` : shown;
      if (flags.includes("-")) return signed.padEnd(Number(width));
      if (!flags.includes("0") || !isNumber(value) || kind === "s") return signed.padStart(Number(width));
      const sign = /^[-+]/.exec(signed)?.[0] ?? "";
      return sign + signed.slice(sign.length).padStart(Number(width) - sign.length, "0");
    },
  );
  if (next < values.length) throw new Error("not all arguments converted during string formatting");
  spendText(out.length);
  return out;
}

function shownAs(kind: string, value: Value, digits: number | undefined): string {
  if (kind === "s") return pythonText(value).slice(0, digits);
  if (kind === "r") return repr(value);
  if (!isNumber(value)) throw new Error(`%${kind} format: a number is required`);
  if (kind === "d" || kind === "i") return String(Math.trunc(numberOf(value)));
  if (kind === "f") return fixed(numberOf(value), digits ?? 6);
  throw new Error(`%${kind} is not built`);
}

/** So many decimals; exact halves go to the even neighbour. */
export function fixed(x: number, digits: number): string {
  const scale = 10 ** digits;
  const isHalf = Math.abs((x * scale) % 1) === 0.5 && Number.isInteger(x * 2 ** (digits + 1));
  return (isHalf ? (2 * Math.round((x * scale) / 2)) / scale : x).toFixed(digits);
}

/** `str.format`: places by order, number or name, without format specifications. */
export function filled(pattern: string, { places, names }: Arguments): string {
  let next = 0;
  const out = pattern.replace(/\{\{|\}\}|\{([^{}]*)\}/gu, (place, key: string | undefined) => {
    if (key === undefined) return place[0]!;
    if (!/^\w*$/u.test(key)) throw new Error(`the place ${place} is not built: only {}, {0} and {name} are`);
    const value = key === "" ? places[next++] : /^\d+$/.test(key) ? places[Number(key)] : names.get(key);
    if (value === undefined) throw new Error(`there is no value for the place ${place}`);
    return pythonText(value);
  });
  spendText(out.length);
  return out;
}
