/** Index arithmetic that all kernels share. */

/** `let c<first> = …;` for every dimension, from a flat index, last dimension fastest. */
export function decode(flat: string, sizes: readonly number[], first: number): string[] {
  let stride = product(sizes);
  return sizes.map((size, d) => {
    stride = Math.max(stride / Math.max(size, 1), 1);
    const quotient = stride === 1 ? flat : `${flat} / ${stride}`;
    return `let c${first + d} = ${d === 0 ? quotient : `(${quotient}) % ${Math.max(size, 1)}`};`;
  });
}

export function product(sizes: readonly number[]): number {
  return sizes.reduce((a, b) => a * b, 1);
}
