/** The JSON Schema of a study's YAML, for editors: made of the schemas that check it, so it says what they say. */
import { z } from "zod";
import { studySchema } from "./schema.ts";

/** Stands for the head of a task's model, which a schema does not know: defaults with it are left out. */
const HEAD = "(the head)";

type Node = { [key: string]: unknown };

/** Of what is registered at the moment: built-in records, and those of plugins. Draft 7, which editors for YAML read. */
export function studyJsonSchema(): Node {
  const schema = z.toJSONSchema(studySchema({ head: [HEAD] }), {
    io: "input",
    target: "draft-7",
    unrepresentable: "any",
    reused: "ref",
    override: ({ jsonSchema }) => {
      if (JSON.stringify(jsonSchema.default)?.includes(HEAD) === true) delete jsonSchema.default;
    },
  });
  return { ...schema, title: "A study of lowrank", description: "What `lowrank run FILE` reads." };
}
