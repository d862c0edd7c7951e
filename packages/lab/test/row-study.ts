/** Studies of a toy model on files of a few rows. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Device } from "@lowrank/tensor";
import { loadStudy } from "../src/config/load.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy, type StudyRun } from "../src/study/plan-study.ts";
import type { StudyOutcome } from "../src/study/outcome.ts";
import { runStudy } from "../src/study/run-study.ts";
import { writeToyData } from "./toy-data.ts";

/** A folder with the tokenizer of a dozen words. */
export function toyFolder(): string {
  return writeToyData(mkdtempSync(join(tmpdir(), "lowrank-rows-")));
}

const STUDY = `
name: mine
task: { name: text-classification, train: train.csv, validation: dev.csv }
model: { hidden: 8, layers: 1, heads: 2, intermediate: 8, initializerRange: 0.3 }
seeds: [1]
train: { epochs: 2, batchSize: 8, lr: 0.01 }
configs: { lora: { method: lora, r: 2, alpha: 4, target: [query, value] } }
`;

export interface Made {
  readonly outcome: StudyOutcome;
  readonly said: string[];
  /** Folder of runs and results. */
  readonly out: string;
}

/** The files as they are planned to be used; nothing is trained. */
export async function planned(
  { data, files, out, device }: { data: string; files: string; out: string; device: Device },
  set: readonly string[],
  say?: (line: string) => void,
): Promise<StudyRun[]> {
  const study = join(out, "study.yaml");
  writeFileSync(study, STUDY);
  const environment = { dataFolder: data, filesFolder: files, cacheFolder: join(out, ".cache"), say };
  return planStudy(await loadStudy(study, { set }), new RunStore(out), {
    environment,
    code: "test",
    device: device.name,
    reuse: false,
  });
}

/** Runs the study on files of these names and contents. Messages have their names alone. */
export async function made(
  { data, device }: { data: string; device: Device },
  files: Readonly<Record<string, string | Uint8Array>>,
  set: readonly string[] = [],
): Promise<Made> {
  const [folder, out] = [mkdtempSync(join(tmpdir(), "lowrank-f-")), mkdtempSync(join(tmpdir(), "lowrank-o-"))];
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const said: string[] = [];
  const say = (line: string): void => void said.push(line.replaceAll(`${folder}/`, ""));
  try {
    const outcome = await runStudy(await planned({ data, files: folder, out, device }, set, say), {
      out,
      device,
      store: new RunStore(out),
      environment: { dataFolder: data, filesFolder: folder, cacheFolder: join(out, ".cache"), say },
      machine: {} as never,
      progress: "quiet",
      say,
    });
    return { outcome, said, out };
  } catch (error) {
    (error as Error).message = (error as Error).message.replaceAll(`${folder}/`, "");
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
