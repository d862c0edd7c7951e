/** Measures one task in all engines: compares their results first, then lets them take turns. */

/** Before a turn: threads of the engine before may still spin. */
const PAUSE_MS = 40;
/** Results may differ by rounding and by how erf and exp are approximated, not by more. Relative to the largest value. */
const AGREEMENT = 1e-3;

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

export function median(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How far two digests are apart, relative to the largest value of the first. */
function distance(ours, theirs) {
  if (ours.length !== theirs.length) return Infinity;
  const scale = Math.max(...ours.sample.map(Math.abs), Number.MIN_VALUE);
  return Math.max(
    ...ours.sample.map((v, i) =>
      Number.isFinite(theirs.sample[i]) ? Math.abs(v - theirs.sample[i]) / scale : Infinity,
    ),
  );
}

/** Each engine's row: first call, and why it gets no time where it does not. Ours come first; the others are held to them. */
async function prepare(work, peers) {
  const rows = [];
  let expected;
  for (const peer of peers) {
    await pause();
    const answer = await peer.ask({ do: "prepare", name: work.name, warmups: 3 });
    const row = { engine: peer.engine, threads: peer.threads, samples: [], rounds: [] };
    rows.push(row);
    if (answer.cannot !== undefined) {
      row.cannot = answer.cannot;
      continue;
    }
    row.firstMs = answer.firstMs;
    if (peer.engine === "ours") expected ??= answer.result;
    if (expected === undefined) {
      row.cannot = "not timed: lowrank gave no result to hold it to";
      continue;
    }
    const off = distance(expected, answer.result);
    if (off > (work.agreement ?? AGREEMENT))
      row.cannot = `its result differs from lowrank's by ${off.toExponential(1)} of the largest value`;
  }
  return rows;
}

/**
 * { work, peaks, rows }; a row has ms (median of all calls), ratio (times lowrank's with as many threads) and share (of the multiply-add peak),
 * or cannot. Ratios and shares are medians over rounds of what stood side by side: a machine that slows down between rounds moves them little.
 */
export async function measure(work, peers, { rounds, turnMs }) {
  const rows = await prepare(work, peers);
  const peaks = [];
  for (let round = 0; round < rounds; round++) {
    // there and back: nobody always comes after the same neighbour
    const order = round % 2 === 0 ? [...peers.keys()] : [...peers.keys()].reverse();
    for (const i of order) {
      const row = rows[i];
      if (row.cannot !== undefined) continue;
      await pause();
      const answer = await peers[i].ask({ do: "turn", ms: turnMs });
      if (answer.cannot !== undefined) {
        row.cannot = answer.cannot;
        continue;
      }
      row.samples.push(...answer.samples);
      row.rounds.push({ ms: median(answer.samples), peak: answer.peak });
      if (answer.peak !== undefined) peaks.push(answer.peak);
    }
  }
  for (const peer of peers) await peer.ask({ do: "close" });
  const reference = (threads) => rows.find((r) => r.engine === "ours" && r.threads === threads);
  return {
    work,
    peaks,
    rows: rows.map(({ samples, rounds: turns, ...row }) => {
      const ours = reference(row.threads);
      if (row.cannot !== undefined) return row;
      const share =
        row.engine === "ours"
          ? median(turns.map(({ ms, peak }) => work.amount / ms / 1e6 / (peak * row.threads)))
          : undefined;
      const ratio = ours.cannot === undefined ? median(turns.map(({ ms }, i) => ms / ours.rounds[i].ms)) : undefined;
      return { ...row, calls: samples.length, ms: median(samples), share, ratio };
    }),
  };
}
