/** Names of files in the folder of a run that others than its store know. Nothing of Node is here: training runs in browsers, too. */

/** Trainable weights at the last evaluation; kept only when a run fails. */
export const LAST_GOOD = "last-good.safetensors";
