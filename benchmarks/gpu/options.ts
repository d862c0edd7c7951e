/** The command's options. */
import { parseArgs } from "node:util";
import { SECTIONS, type Choices } from "./sections.ts";

const HELP = `npm run -s bench:gpu -- [--out FILE] [--only LIST] [--require-gpu] [--small] [--python PATH]

  --out FILE      everything as JSON, written anew after each section
  --only LIST     of ${SECTIONS.map(({ name }) => name).join(", ")}
  --require-gpu   end at once where the only adapter computes on the CPU (else everything is done small)
  --small         everything small, on a card too
  --python PATH   the Python that may have PyTorch (default: python3)
  --torch-cpu     PyTorch on the CPU, to try that the peer runs

Exit code 1: something is wrong on the device, or a section failed. A section whose time ran out is said to be cut, and is no failure.
`;

export interface Options extends Choices {
  readonly out: string | undefined;
  readonly only: readonly string[];
  readonly requireGpu: boolean;
  readonly small: boolean;
}

function fail(message: string): never {
  process.stderr.write(`bench:gpu: ${message}\n`);
  process.exit(2);
}

/** Ends the process where they are wrong, or where only help was asked for. */
export function readOptions(): Options {
  const all = SECTIONS.map(({ name }) => name);
  try {
    const { values } = parseArgs({
      options: {
        out: { type: "string" },
        only: { type: "string" },
        "require-gpu": { type: "boolean", default: false },
        small: { type: "boolean", default: false },
        python: { type: "string", default: "python3" },
        "torch-cpu": { type: "boolean", default: false },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    const only = values.only?.split(",") ?? all;
    for (const name of only) if (!all.includes(name)) fail(`--only ${name}: there are ${all.join(", ")}`);
    return {
      out: values.out,
      only,
      requireGpu: values["require-gpu"],
      small: values.small,
      python: values.python,
      torchDevice: values["torch-cpu"] ? "cpu" : "cuda",
    };
  } catch (error) {
    fail(`${(error as Error).message.split("\n")[0]}; --help shows what there is`);
  }
}
