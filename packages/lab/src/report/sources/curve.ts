/** The loss of training as a report shows it: where the noisy curve goes, in few points. */
import { smoothed } from "../../serve/page/scale.ts";
import type { Point } from "../run.ts";

/** Points that a curve keeps; as many as a small chart can tell apart. */
const POINTS = 60;
/** Share of all steps that each point is the mean of. */
const WINDOW = 1 / 12;

/** @param text a run's `steps.csv`; a line that is being written is left out */
export function curveOf(text: string): Point[] {
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  const columns = lines[0]!.split(",");
  const [step, loss] = [columns.indexOf("step"), columns.indexOf("loss")];
  if (step < 0 || loss < 0) return [];
  const points = lines.slice(1).flatMap((line): Point[] => {
    const cells = line.split(",");
    const value = Number.parseFloat(cells[loss] ?? "");
    return Number.isFinite(value) ? [[Number(cells[step]), value]] : [];
  });
  return sampled(smoothed(points, Math.max(1, Math.round(points.length * WINDOW))));
}

/** As many as are shown, evenly, the first and the last among them. */
function sampled(points: readonly Point[]): Point[] {
  if (points.length <= POINTS) return [...points];
  return Array.from({ length: POINTS }, (_, i) => points[Math.round((i * (points.length - 1)) / (POINTS - 1))]!);
}
