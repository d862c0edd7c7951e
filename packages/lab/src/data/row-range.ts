/** Rows of a file by their number, in the order of the file: `[1, 8000]` are the first 8,000. */
import { InputError } from "../errors.ts";
import { formatCount } from "../text/format.ts";

/** Numbers of the first and the last row; rows count from 1, and both are of the range. */
export type RowRange = readonly [first: number, last: number];

/** Rows of the training file that are held out of it. */
export interface HeldOutRows {
  readonly trainRows: RowRange;
}

/** Which rows of the training file are for what. */
export interface RowParts {
  /** Absent: all but those that are held out. */
  readonly trainRows?: RowRange | undefined;
  readonly heldOut?: RowRange | undefined;
}

/** Places of rows from 0, in the order of the file. */
export interface ChosenRows {
  readonly train: Int32Array;
  readonly heldOut: Int32Array | undefined;
}

/** Why the two ranges cannot stand together, as a text that follows the name of the study; undefined where they can. */
export function overlapTrouble({ trainRows, heldOut }: RowParts): string | undefined {
  if (trainRows === undefined || heldOut === undefined) return undefined;
  const [from, to] = [Math.max(trainRows[0], heldOut[0]), Math.min(trainRows[1], heldOut[1])];
  if (from > to) return undefined;
  return `"validation.trainRows" ${shown(heldOut)} and "trainRows" ${shown(trainRows)} share ${from === to ? `row ${from}` : `rows ${from} to ${to}`}; rows that are trained on tell nothing about others`;
}

/**
 * @param count rows of the file
 * @param file its name, for messages
 * @throws InputError for a range beyond the file, and where no row is left to train on
 */
export function chooseRows(count: number, { trainRows, heldOut }: RowParts, file: string): ChosenRows {
  const trouble = overlapTrouble({ trainRows, heldOut });
  if (trouble !== undefined) throw new InputError(`${file}: ${trouble}`);
  for (const [key, range] of [
    ["trainRows", trainRows],
    ["validation.trainRows", heldOut],
  ] as const)
    if (range !== undefined && range[1] > count)
      throw new InputError(
        `${file}: "${key}" ${shown(range)} goes beyond the ${formatCount(count)} rows of the file; let it end at ${count} or before`,
      );
  const held = heldOut === undefined ? undefined : placesOf(heldOut);
  const all = trainRows ?? [1, count];
  const train = placesOf(all).filter((place) => heldOut === undefined || !within(place + 1, heldOut));
  if (train.length === 0)
    throw new InputError(
      `${file}: "validation.trainRows" ${shown(heldOut!)} are all rows of the file; leave some to train on`,
    );
  return { train, heldOut: held };
}

function placesOf([first, last]: RowRange): Int32Array {
  return Int32Array.from({ length: last - first + 1 }, (_, i) => first - 1 + i);
}

function within(row: number, [first, last]: RowRange): boolean {
  return row >= first && row <= last;
}

function shown([first, last]: RowRange): string {
  return `[${first}, ${last}]`;
}
