/** The base model of a run: BERT for sequence classification from a checkpoint or from a seed. The only file that knows how models are made. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BertForSequenceClassification, type BertConfig } from "@lowrank/models";
import { Linear } from "@lowrank/nn";
import type { Device, Parameter, Tensor } from "@lowrank/tensor";
import type { ModelOptions } from "../config/study.ts";
import { InputError } from "../errors.ts";
import type { BertSizes } from "./predict.ts";

export interface NamedParameter {
  readonly name: string;
  readonly parameter: Parameter;
}
