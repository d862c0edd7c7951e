/** A record of an event file (TFRecord): u64 length, masked CRC of the length, data, masked CRC of the data; little-endian. */
import { maskedCrc } from "./crc32c.ts";

const LENGTH = 8;
const CRC = 4;

export function frame(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(LENGTH + CRC + data.length + CRC);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(LENGTH, maskedCrc(out.subarray(0, LENGTH)), true);
  out.set(data, LENGTH + CRC);
  view.setUint32(LENGTH + CRC + data.length, maskedCrc(data), true);
  return out;
}
