/**
 * Which texts share a row. Best fit, longest first: each goes where it leaves the least room, a new row where it fits nowhere. At most 11/9 of the fewest
 * rows there could be, and one more (Johnson 1973, "Near-optimal bin packing algorithms"); nothing is drawn, so equal lengths give equal rows.
 */

/** Places of the texts of each row, in order. @param lengths each at most `capacity` */
export function packTexts(lengths: ArrayLike<number>, capacity: number): Int32Array[] {
  const order = Array.from(lengths, (_, i) => i).sort((a, b) => lengths[b]! - lengths[a]!);
  const rows: number[][] = [];
  /** Rows by the room that they have left. */
  const withRoom: number[][] = Array.from({ length: capacity + 1 }, () => []);
  for (const text of order) {
    const length = lengths[text]!;
    let room = length;
    while (room < capacity && withRoom[room]!.length === 0) room++;
    // a row with all its room is a new one
    const row = withRoom[room]!.pop() ?? rows.push([]) - 1;
    rows[row]!.push(text);
    withRoom[room - length]!.push(row);
  }
  return rows.map((row) => Int32Array.from(row));
}
