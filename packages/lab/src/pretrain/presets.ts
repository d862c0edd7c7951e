/** Pre-training configurations that ship with the package, by name, as the YAML a user would write. */

export const PRETRAIN_PRESETS: Readonly<Record<string, string>> = {
  small: `# 4 layers of width 128: 4.8 M parameters, 3.9 M of them word embeddings.
model: { hidden: 128, layers: 4, heads: 2, intermediate: 512 }
corpus: { sources: [books, wikitext-2, sst2-text], length: 64 }
train: { steps: 12000 }
`,
  medium: `# 4 layers of width 256: 11.1 M parameters; about four times the work.
model: { hidden: 256, layers: 4, heads: 4, intermediate: 1024 }
corpus: { sources: [books, wikitext-2, sst2-text], length: 64 }
train: { steps: 12000 }
`,
};
