/** onnxruntime's WebAssembly build, asked for by name. */
export { openWeb as open } from "./ort.mjs";
