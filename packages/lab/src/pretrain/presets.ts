/** Pre-training configurations that ship with the package, by objective and name, as the YAML a user would write. */

const MLM: Readonly<Record<string, string>> = {
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

const CLM: Readonly<Record<string, string>> = {
  small: `# GPT-2 of 4 layers of width 128: 7.3 M parameters, 6.4 M of them word embeddings.
model: { family: gpt2, hidden: 128, layers: 4, heads: 4, intermediate: 512, dropout: 0, positions: 256 }
corpus: { sources: [books, wikitext-2], length: 256 }
train: { steps: 2500, tokensPerBatch: 2048, lr: 2e-3, warmup: 0.02, betas: [0.9, 0.95], weightDecay: 0.1 }
`,
};

export const PRETRAIN_PRESETS: Readonly<Record<"mlm" | "clm", Readonly<Record<string, string>>>> = {
  mlm: MLM,
  clm: CLM,
};
