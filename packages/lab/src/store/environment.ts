/** What a run ran on, for `env.json`: enough to explain a difference, nothing that identifies a person or a path. */
import { arch, cpus, platform, release, totalmem } from "node:os";
import { sourceCommit } from "./source-commit.ts";

export interface Environment {
  readonly node: string;
  readonly v8: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Content hash of the code that computes. */
  readonly code: string;
  /** Commit that it was checked out from; null where that is not known. */
  readonly commit: string | null;
  readonly device: unknown;
  readonly threads: number | null;
}

/** Snapshot of the machine; `device` is what the engine says about itself. */
export function captureEnvironment(code: string, device: unknown, threads: number | null): Environment {
  const processors = cpus();
  return {
    node: process.version,
    v8: process.versions.v8,
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    code,
    commit: sourceCommit(),
    device,
    threads,
  };
}
