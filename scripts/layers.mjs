/** The drawing in docs/architecture.md as data: what may import what. Checked by structure.mjs. */

/** Package → packages that it may import. */
export const PACKAGES = {
  tensor: [],
  nn: ["tensor"],
  models: ["tensor", "nn", "quant"],
  quant: ["tensor", "nn"],
  peft: ["tensor", "nn"],
  numerics: ["tensor"],
  lab: ["tensor", "nn", "models", "peft", "quant"],
  lowrank: ["tensor", "nn", "models", "peft", "quant", "numerics", "lab"],
};

/** Layers within a package, lowest first. A part ending in / is a folder. A file imports from its own layer and from those before it. */
export const LAYERS = {
  tensor: [
    ["dtype.ts", "errors.ts", "shape.ts", "utf8.ts", "key.ts", "clock.ts", "structure.ts", "math/", "random/"],
    [
      "check/json.ts",
      "check/nearest.ts",
      "check/pattern-syntax.ts",
      "check/pattern.ts",
      "check/python-json.ts",
      "check/rules.ts",
    ],
    ["memory-form.ts", "host-values.ts", "tracing.ts", "precision.ts"],
    ["primitives/", "ir/"],
    ["templates/"],
    ["graph/"],
    ["engine.ts", "executor.ts", "schedule/", "plan/", "backends/"],
    ["tensor.ts"],
    ["ops/"],
    ["records.ts", "tensor-methods.ts", "gradients.ts"],
    ["parameter.ts", "autodiff.ts", "anomaly.ts", "profile.ts", "device.ts", "compile.ts", "init.ts", "planning.ts"],
    ["files/"],
    ["check/device.ts", "check/files.ts", "check/index.ts"],
    ["safetensors/"],
    ["backend.ts", "index.ts"],
  ],
  lab: [
    // what runs in a browser, and the form of what it is sent
    ["serve/page/"],
    ["errors.ts", "text/", "random/", "statistics/"],
    [
      "data/",
      "config/canonical.ts",
      "config/numbers.ts",
      "config/overrides.ts",
      "config/study.ts",
      "config/validate.ts",
      "config/yaml.ts",
    ],
    ["bases/", "records/", "store/result.ts"],
    ["allocators/", "config/train.ts", "executors/", "methods/", "metrics/", "sinks/", "tasks/"],
    ["config/"],
    ["memory/", "store/", "study/", "train/"],
    ["fit/"],
    ["plugins/"],
    ["pretrain/", "inspect/", "exports/", "serve/", "report/"],
    ["cli/"],
    ["cli.ts", "index.ts"],
  ],
};

/** What does not know each other within a layer: files below the first import none below the second. */
export const APART = {
  tensor: [
    ["backends/wasm/", "backends/webgpu/"],
    ["backends/webgpu/", "backends/wasm/"],
    ["backends/", "schedule/"],
    ["schedule/", "backends/"],
    ["schedule/", "plan/"],
  ],
  // what trains knows no task, method or allocator by name, and none of them what trains it
  lab: [
    ["train/", "tasks/"],
    ["tasks/", "train/"],
    ["train/", "methods/"],
    ["train/", "sinks/"],
    ["train/", "metrics/registry.ts"],
    ["train/", "allocators/"],
    ["bases/", "tasks/"],
    ["records/", "tasks/"],
    ["records/", "train/"],
  ],
};
