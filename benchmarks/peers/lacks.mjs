/** What an engine has no operation for, found out by trying; and what runs in its place. */

/** `trials` of [what, instead, attempt]: what throws or gives false is lacking. → [{ what, instead }], with the error where there was one. */
export function lacking(trials) {
  return trials.flatMap(([what, instead, attempt]) => {
    try {
      return attempt() === false ? [{ what, instead }] : [];
    } catch (error) {
      return [{ what: `${what}: “${String(error.message).split("\n")[0].slice(0, 90)}”`, instead }];
    }
  });
}
