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
export const LAYERS = {};
