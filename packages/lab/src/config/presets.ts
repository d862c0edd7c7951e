/**
 * Studies that ship with the package, by name. Written as the YAML a user would write, so that a preset can be printed,
 * copied and changed.
 */

const PLANTED_TASK = `
task:
  name: planted-rank
  ranks: { query: 2, value: 4, intermediate.dense: 4, attention.output.dense: 2 }
model: { hidden: 64, layers: 2, heads: 4, intermediate: 128, dropout: 0, initializerRange: 0.1, seed: 1 }
`;

const PLANTED_CONFIGS = `
configs:
  head: { method: head, train: { lr: 5e-3 } }
  lora: { method: lora, r: 8, alpha: 16, target: [query, key, value, dense], train: { lr: 4e-3 } }
  full: { method: full, train: { lr: 1e-3 } }
`;

export const PRESETS: Readonly<Record<string, string>> = {
  demo: `# The demonstration: three ways to adapt a small frozen transformer, on data that is made, not downloaded.
name: demo
${PLANTED_TASK}
seeds: [13, 42, 87]
train: { epochs: 4, batchSize: 64 }
${PLANTED_CONFIGS}`,

  "planted-rank": `# Planted ranks, five paired seeds.
name: planted-rank
${PLANTED_TASK}
seeds: [13, 42, 87, 100, 2024]
train: { epochs: 8, batchSize: 64 }
${PLANTED_CONFIGS}`,

  sst2: `# SST-2 on a BERT checkpoint: give its folder with --base DIR (or --set base=DIR).
name: sst2
task: { name: sst2, maxLength: 64 }
seeds: [13, 42, 87, 100, 2024]
train: { epochs: 3, batchSize: 32, schedule: linear, warmup: 0.06, weightDecay: 0.01, clip: 1 }
configs:
  head: { method: head, train: { lr: 1e-3 } }
  lora: { method: lora, r: 8, alpha: 16, dropout: 0.1, target: [query, key, value, dense], train: { lr: 5e-4 } }
  full: { method: full, train: { lr: 5e-5 } }
`,
};
