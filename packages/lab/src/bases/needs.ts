/** What a task asks of the base that it trains. */
import type { ProblemType } from "@lowrank/models";

export interface BaseNeeds {
  /** How many labels its head has, or their names. */
  readonly labels: number | readonly string[];
  /** Which loss the model's own file says; absent: by the labels. */
  readonly problemType?: ProblemType;
  /** Id of the padding, for models that find the end of a text by it and whose file names none. */
  readonly padTokenId?: number;
  /** Words of the tokenizer. */
  readonly vocab: number;
  /** The longest sequence. */
  readonly positions: number;
}
