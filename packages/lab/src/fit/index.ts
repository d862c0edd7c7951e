/**
 * @module
 * Fine-tuning and predictions as functions, in Node, in pages and in their workers: no file is read but the model's.
 */
export { tableFrom, type RowData } from "./data.ts";
export { fit, fitSteps } from "./fit.ts";
export { Fitted } from "./fitted.ts";
export { openPredictor, type OpenOptions } from "./open-predictor.ts";
export type { FitOptions, FitProgress } from "./options.ts";
export { predict, type Prediction } from "./predict.ts";
export { Predictor, type Answered, type Evaluated, type PredictorParts } from "./predictor.ts";
export { rowTasks } from "../tasks/row-tasks.ts";
export { readTable, readTableFile, type NamedBytes } from "../data/table/formats.ts";
export { tableOf, type Row, type Table } from "../data/table/table.ts";
export type * from "../records/row-task.ts";
export { InputError, RunError } from "../errors.ts";
