/** Tokens by their beginnings: a tree in flat lists, 10 bytes a node. Children stand together in the order of their units. */
export class PrefixTree {
  /** The unit that leads to each node; node 0 is the root. */
  readonly #units: Uint16Array;
  /** Children of node n: from first[n] to first[n + 1]. */
  readonly #first: Int32Array;
  readonly #ids: Int32Array;

  /** `tokens` are not empty. */
  constructor(tokens: ReadonlyMap<string, number>) {
    const sorted = [...tokens.keys()].sort();
    let count = 1;
    for (const [i, token] of sorted.entries()) count += token.length - (i === 0 ? 0 : shared(sorted[i - 1]!, token));
    const units = new Uint16Array(count);
    const first = new Int32Array(count + 1);
    const ids = new Int32Array(count).fill(-1);
    // the tokens that begin as node n does, and how long that beginning is
    const [from, to, depth] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)];
    to[0] = sorted.length;
    let next = 1;
    for (let node = 0; node < count; node++) {
      first[node] = next;
      const length = depth[node]!;
      let at = from[node]!;
      if (at < to[node]! && sorted[at]!.length === length) ids[node] = tokens.get(sorted[at++]!)!;
      while (at < to[node]!) {
        const unit = sorted[at]!.charCodeAt(length);
        units[next] = unit;
        from[next] = at;
        depth[next] = length + 1;
        while (at < to[node]! && sorted[at]!.charCodeAt(length) === unit) at++;
        to[next++] = at;
      }
    }
    first[count] = next;
    this.#units = units;
    this.#first = first;
    this.#ids = ids;
  }

  /** The node behind `unit`, or −1. The root is 0. */
  child(node: number, unit: number): number {
    let from = this.#first[node]!;
    let to = this.#first[node + 1]!;
    while (from < to) {
      const middle = (from + to) >> 1;
      const here = this.#units[middle]!;
      if (here === unit) return middle;
      if (here < unit) from = middle + 1;
      else to = middle;
    }
    return -1;
  }

  /** The token that ends at the node, or −1. */
  id(node: number): number {
    return this.#ids[node]!;
  }
}

function shared(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  let i = 0;
  while (i < end && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}
