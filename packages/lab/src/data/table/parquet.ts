/** Parquet, by `hyparquet`, which is loaded when such a file is first read. */
import { InputError } from "../../errors.ts";
import { tableOf, type Table } from "./table.ts";

/** Rows as objects; whole numbers of 64 bits become numbers where they are exact. @throws InputError for a file that is no Parquet or is damaged */
export async function readParquet(bytes: Uint8Array, name: string): Promise<Table> {
  const [{ parquetReadObjects }, { compressors }] = await Promise.all([
    import("hyparquet"),
    import("hyparquet-compressors"),
  ]);
  const file = bytes.slice().buffer;
  try {
    const rows = await parquetReadObjects({ file, compressors });
    return tableOf(rows.map(plain), name, (i) => `${name}: row ${i + 1}`);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${name}: cannot be read as Parquet: ${(error as Error).message}`, { cause: error });
  }
}

function plain(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([key, value]) => [key, small(value)]));
}

function small(value: unknown): unknown {
  return typeof value === "bigint" && BigInt(Number(value)) === value ? Number(value) : value;
}
