/** `lowrank presets`: the studies that ship with the package, as the YAML that one would write; and the schema of such files. */
import { quote } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { studyJsonSchema } from "../config/json-schema.ts";
import { PRESETS } from "../config/presets.ts";
import { parseYaml } from "../config/yaml.ts";
import { InputError } from "../errors.ts";
import { loadPlugins } from "../plugins/load.ts";
import { cut } from "../text/shown.ts";
import { renderTable } from "../text/table.ts";
import { EXIT_OK } from "./outcome.ts";

export interface PresetsOptions {
  readonly schema?: boolean;
  readonly plugin?: string[];
  readonly json?: boolean;
}

export async function presetsCommand(name: string | undefined, options: PresetsOptions): Promise<number> {
  if (options.plugin !== undefined && options.schema !== true)
    throw new InputError(
      "--plugin adds to what --schema prints, and presets know no plugins; give --schema, or leave it out",
    );
  if (options.schema === true && name !== undefined)
    throw new InputError(`--schema is that of every study; leave ${quote(cut(name))} out`);
  await loadPlugins(options.plugin ?? []);
  process.stdout.write(
    options.schema === true ? `${JSON.stringify(studyJsonSchema(), null, 2)}\n` : text(name, options),
  );
  return EXIT_OK;
}

function text(name: string | undefined, { json }: PresetsOptions): string {
  if (name === undefined) {
    const rows = Object.entries(PRESETS).map(([preset, yaml]) => ({ name: preset, about: about(yaml) }));
    return json === true
      ? `${JSON.stringify(rows, null, 2)}\n`
      : `${renderTable(
          [{ title: "preset" }, { title: "what" }],
          rows.map((row) => [row.name, row.about]),
        )}\n`;
  }
  const yaml = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined;
  if (yaml === undefined)
    throw new InputError(`no preset ${quote(cut(name))}${suggestion(cut(name), Object.keys(PRESETS))}`);
  return json === true ? `${JSON.stringify(parseYaml(yaml, `preset ${name}`), null, 2)}\n` : `${yaml.trim()}\n`;
}

/** The first sentence of the comment that it begins with. */
function about(yaml: string): string {
  const lines = yaml.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("#"));
  const comment = lines.slice(0, end).map((line) => line.slice(1).trim());
  return comment.join(" ").replace(/(?<=[.?]) .*/, "");
}
