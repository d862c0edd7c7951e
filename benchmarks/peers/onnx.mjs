/**
 * Writes ONNX models: just enough of the protobuf for graphs of f32 and i64 tensors.
 * Field numbers: onnx/onnx.proto3 of the ONNX project.
 */

const utf8 = new TextEncoder();
const FLOAT = 1;
const INT64 = 7;

function varint(value) {
  const bytes = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
    if (rest < 128n) return Uint8Array.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) | 128);
  }
}

function joined(parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const whole = (field, value) => joined([varint(field << 3), varint(value)]);
const bytes = (field, value) => joined([varint((field << 3) | 2), varint(value.length), value]);
const text = (field, value) => bytes(field, utf8.encode(value));
const message = (field, ...parts) => bytes(field, joined(parts));
const float = (field, value) => joined([varint((field << 3) | 5), new Uint8Array(Float32Array.of(value).buffer)]);

/** Attributes are integers, lists of them, or { float }. */
function attribute(name, value) {
  if (Array.isArray(value)) return message(5, text(1, name), ...value.map((v) => whole(8, v)), whole(20, 7));
  if (typeof value === "object") return message(5, text(1, name), float(2, value.float), whole(20, 1));
  return message(5, text(1, name), whole(3, value), whole(20, 2));
}

function tensor(name, values, shape) {
  const i64 = values instanceof BigInt64Array;
  return message(
    5,
    ...shape.map((d) => whole(1, d)),
    whole(2, i64 ? INT64 : FLOAT),
    text(8, name),
    bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  );
}

function valueInfo(field, name, { shape, type = FLOAT }) {
  const dims = shape.map((d) => message(1, whole(1, d)));
  return message(field, text(1, name), message(2, message(1, whole(1, type), message(2, ...dims))));
}

/** A graph being written: constants, nodes, inputs; then bytes. Names of values are strings. */
export class OnnxGraph {
  #nodes = [];
  #constants = [];
  #inputs = [];
  #count = 0;

  input(name, shape, type = "f32") {
    this.#inputs.push(valueInfo(11, name, { shape, type: type === "i64" ? INT64 : FLOAT }));
    return name;
  }

  constant(values, shape) {
    const name = `c${this.#count++}`;
    this.#constants.push(tensor(name, values, shape));
    return name;
  }

  /** An i64 list, as Reshape and others want their shapes. */
  integers(...values) {
    return this.constant(BigInt64Array.from(values.map(BigInt)), [values.length]);
  }

  node(type, inputs, attributes = {}) {
    const output = `v${this.#count++}`;
    this.#nodes.push(
      message(
        1,
        ...inputs.map((i) => text(1, i)),
        text(2, output),
        text(4, type),
        ...Object.entries(attributes).map(([k, v]) => attribute(k, v)),
      ),
    );
    return output;
  }

  /** Operator set 20: the first with Gelu. */
  model(output, shape) {
    const graph = message(
      7,
      ...this.#nodes,
      text(2, "g"),
      ...this.#constants,
      ...this.#inputs,
      valueInfo(12, output, { shape }),
    );
    return joined([whole(1, 9), message(8, text(1, ""), whole(2, 20)), graph]);
  }
}
