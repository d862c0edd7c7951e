/** Options of `lowrank presets`. */
import type { Command } from "commander";
import { collect, type Exit } from "./options.ts";
import type { PresetsOptions } from "./presets-command.ts";

export function addPresets(program: Command, exit: Exit): void {
  program
    .command("presets")
    .description("list the studies that ship with the package, or print one as YAML to copy and change")
    .argument("[name]", "the preset to print; without it, all are listed")
    .option("--schema", "print the JSON Schema of study files instead, for editors")
    .option("--plugin <file>", "with --schema: module whose records the schema knows too; may be repeated", collect)
    .option("--json", "print JSON instead of a table or YAML")
    .addHelpText(
      "after",
      `
Examples:
  lowrank presets
  lowrank presets sst2 > my-study.yaml
  lowrank presets --schema > study.schema.json
  # the first line of a study, for editors that know YAML schemas:
  #   # yaml-language-server: $schema=./study.schema.json
`,
    )
    .action(async (name: string | undefined, options: PresetsOptions) => {
      const { presetsCommand } = await import("./presets-command.ts");
      exit(await presetsCommand(name, options));
    });
}
