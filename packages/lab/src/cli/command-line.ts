/** The command as it was given, for a person to give again. */

let given: readonly string[] = process.argv.slice(2);

/** Said once, by who starts the command. */
export function startedWith(args: readonly string[]): void {
  given = args;
}

/** As it was called, for a shell. */
export function commandLine(): string {
  return shellLine(given);
}

/** Options that say how runs are made and shown, and decide nothing of what comes of them. */
const MANNER = {
  switches: ["--quiet", "--json", "--verbose", "--detect-anomaly", "--reuse"],
  valued: [
    "--checkpoint-every",
    "--checkpoints",
    "--threads",
    "--executor",
    "--jobs",
    "--redis",
    "--results",
    "--sink",
  ],
};

/**
 * The command as an adapter's card has it: without what decides nothing, and without the folder. So two stores that hold the same run hold the
 * same bytes, whoever made it and however often it was interrupted.
 */
export function cardCommand(words: readonly string[] = given): string {
  const kept: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const [option] = word.split("=", 1) as [string];
    const alone = option === word;
    if (MANNER.switches.includes(word)) continue;
    if (MANNER.valued.includes(option)) i += alone ? 1 : 0;
    else if (option === "--out") {
      kept.push("--out", "DIR");
      i += alone ? 1 : 0;
    } else kept.push(word);
  }
  return shellLine(kept);
}

function shellLine(words: readonly string[]): string {
  const quoted = words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
  return ["lowrank", ...quoted].join(" ");
}
