/** What a command says, its exit code beside it. */
import { vi } from "vitest";
import { main } from "../src/cli/main.ts";

export interface Told {
  readonly code: number;
  readonly stderr: string;
  readonly stdout: string;
}

export async function told(...args: string[]): Promise<Told> {
  let [stderr, stdout] = ["", ""];
  const error = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  const out = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  try {
    const code = await main(args);
    return { code, stderr, stdout };
  } finally {
    error.mockRestore();
    out.mockRestore();
  }
}
