/** Runs the command line and turns every failure into one line and an exit code. */
import { CommanderError } from "commander";
import { startedWith } from "./command-line.ts";
import { describeFailure, EXIT_OK } from "./outcome.ts";
import { buildProgram } from "./program.ts";

/** Exit code of the command with these arguments. */
export async function main(args: readonly string[]): Promise<number> {
  startedWith(args);
  let code = EXIT_OK;
  const program = buildProgram((exit) => {
    code = exit;
  });
  try {
    // nothing asked: say what can be asked
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    const failure = describeFailure(error);
    // Help and version were printed already, and are no failure.
    if (failure.code !== EXIT_OK) process.stderr.write(`lowrank: ${failure.line}\n`);
    if (args.includes("--verbose") && error instanceof Error && !(error instanceof CommanderError))
      process.stderr.write(`${error.stack}\n`);
    code = failure.code;
  }
  return code;
}
