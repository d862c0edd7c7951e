/** Where a file's bytes come from, by range. */

export interface RandomAccess {
  readonly size: number;
  /** What the file is called in messages, where it has a name. */
  readonly where?: string;
  /** Bytes [begin, end) as a fresh or shared view; callers do not write to it. */
  read(begin: number, end: number): Promise<Uint8Array>;
  close?(): Promise<void>;
}

export function fromBytes(bytes: Uint8Array): RandomAccess {
  return { size: bytes.length, read: (begin, end) => Promise.resolve(bytes.subarray(begin, end)) };
}

interface BlobLike {
  readonly size: number;
  slice(begin: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** A Blob or File of the browser; ranges are read when asked for. */
export function fromBlob(blob: BlobLike): RandomAccess {
  return { size: blob.size, read: async (begin, end) => new Uint8Array(await blob.slice(begin, end).arrayBuffer()) };
}
