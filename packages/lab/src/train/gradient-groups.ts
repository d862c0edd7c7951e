/** Which weights' gradients are told together: what a part of an adapter is called, the head, and whatever else of the base trains. */

/** A weight of an adapter: `….query.lora_A.default.weight`. */
const PART = /\.(\w+)\.default(?:\.(?:weight|bias))?$/;

/**
 * `A`, `B` and `E` (singular values) of low-rank updates, `magnitude` of DoRA, `ia3_l`, `vera_lambda_b`, …; `head`; `base`.
 * @param head modules of it, by name
 */
export function gradientGroup(name: string, head: readonly string[]): string {
  if (head.some((module) => name === module || name.startsWith(`${module}.`))) return "head";
  const part = PART.exec(name)?.[1];
  if (part === undefined || part === "modules_to_save") return "base";
  return part.replace(/^lora_(embedding_)?/, "").replace(/_vector$/, "");
}
