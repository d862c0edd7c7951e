/**
 * Entities in a row of tags `O`, `B-type`, `I-type` (IOB2). Found as the CoNLL evaluation and seqeval's default find them: an `I-` that
 * continues nothing begins an entity. https://github.com/chakki-works/seqeval, `get_entities`.
 */
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";

export interface Entity {
  readonly type: string;
  /** First and last place in the row. */
  readonly first: number;
  readonly last: number;
}

export const OUTSIDE = "O";

/** Whether a tag is one of IOB2. */
export function isIob(tag: string): boolean {
  return tag === OUTSIDE || /^[BI]-./su.test(tag);
}

/** @param where the tags stand, for messages */
export function requireIob(tags: readonly string[], where: string): void {
  const strange = tags.find((tag) => !isIob(tag));
  if (strange !== undefined)
    throw new InputError(
      `${where}: the tag "${cut(strange)}" is not one of IOB2; tags are O, B-TYPE (an entity begins) and I-TYPE (it goes on)`,
    );
}

/** In the order in which they begin. A tag without a dash has the type that follows its first letter, or `_`. */
export function entitiesOf(tags: readonly string[]): Entity[] {
  const found: Entity[] = [];
  let open: { readonly type: string; readonly first: number } | undefined;
  const close = (last: number): void => {
    if (open !== undefined) found.push({ ...open, last });
    open = undefined;
  };
  for (const [at, tag] of tags.entries()) {
    if (tag === OUTSIDE) {
      close(at - 1);
      continue;
    }
    const type = typeOf(tag);
    if (tag.startsWith("B") || open?.type !== type) {
      close(at - 1);
      open = { type, first: at };
    }
  }
  close(tags.length - 1);
  return found;
}

function typeOf(tag: string): string {
  const rest = tag.slice(1);
  const dash = rest.indexOf("-");
  return (dash < 0 ? rest : rest.slice(dash + 1)) || "_";
}
