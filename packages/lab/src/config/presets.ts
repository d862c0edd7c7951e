/**
 * Studies that ship with the package, by name. Written as the YAML a user would write, so that a preset can be printed,
 * copied and changed.
 */

/**
 * Planted ranks, difficulty *easy*: 32 planted directions in 6 of 16 modules, as many as an allocator may keep, so that the uniform rank, 2, is far
 * below the largest planted one, 8. Easy, since each direction has 0.35 of its base weight's norm, the student has the teacher's head, the 32 labels
 * tell much about each example, and queries and keys, half of the modules, hold nothing.
 */
const EASY = `
task:
  name: planted-rank
  train: 16384
  length: 8
  labels: 32
  head: base
  strength: 0.35
  strengthOf: direction
  ranks:
    0.attention.self.value: 8
    0.intermediate.dense: 2
    1.intermediate.dense: 8
    2.attention.self.value: 5
    3.attention.self.value: 2
    3.intermediate.dense: 7
model: { hidden: 32, layers: 4, heads: 4, intermediate: 64, dropout: 0, initializerRange: 0.2, seed: 1 }
train: { epochs: 4, batchSize: 64 }
`;

/** The six configurations on it, all with a budget of 32 ranks in the end. */
const EASY_SIX = six({
  targets: "[query, key, value, intermediate.dense]",
  lora: "r: 2, alpha: 4, dropout: 0",
  adaLora: "initR: 8, targetR: 2, alpha: 16, dropout: 0, tinit: 0.3, tfinal: 0.2, deltaT: 10, orthRegWeight: 0.1",
  manual: "{ attention.self.(query|key|value): 1, intermediate.dense: 5 }",
  lr: "1e-2",
  adaLr: "1e-2",
});

/** What the six configurations are made to decide where ranks are planted: they can be found, so that finding them should pay. */
const EASY_CLAIMS = `
claims:
  adaptive-beats-fixed: { says: adaptive ranks beat a fixed rank of the same budget, greater: [b-ada, b-fp] }
  four-bit-is-free: { says: a 4-bit base costs nothing, equal: [b-q4, b-fp] }
  four-bit-is-free-adaptive: { says: a 4-bit base costs nothing, equal: [joint-1, b-ada] }
  manual-matches: { says: ranks set by hand match a fixed one, equal: [joint-3, b-fp] }
`;

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

interface Six {
  readonly targets: string;
  /** Rank, scale and dropout of the configs with fixed ranks. */
  readonly lora: string;
  readonly adaLora: string;
  /** Rank pattern of joint-3. */
  readonly manual: string;
  readonly lr: string;
  readonly adaLr: string;
}

/** The six configurations of the study: fixed rank, 4 bits, adaptive ranks, both, mixed precision with adaptive ranks, ranks by hand. */
function six({ targets, lora, adaLora, manual, lr, adaLr }: Six): string {
  const fixed = `method: lora, ${lora}, target: ${targets}`;
  const ada = `method: adalora, ${adaLora}, target: ${targets}`;
  return `
configs:
  b-fp: { ${fixed}, storage: f16, train: { lr: ${lr} } }
  b-q4: { ${fixed}, storage: nf4, train: { lr: ${lr} } }
  b-ada: { ${ada}, storage: f16, train: { lr: ${adaLr} } }
  joint-1: { ${ada}, storage: nf4, train: { lr: ${adaLr} } }
  joint-2: { ${ada}, storage: f16, precision: mixed-f16, train: { lr: ${adaLr} } }
  joint-3: { ${fixed}, storage: f16, rankPattern: ${manual}, train: { lr: ${lr} } }
`;
}

/** The six on an encoder's every linear layer, at the rate that words with tags and answers in a text bear (`tasks/token-classification.ts`). */
const ENCODER: Six = {
  targets: "[query, key, value, dense]",
  lora: "r: 8, alpha: 16, dropout: 0.1",
  adaLora: "initR: 12, targetR: 8, alpha: 16, dropout: 0.1, tinit: 0.1, tfinal: 0.3, deltaT: 5, orthRegWeight: 0.1",
  manual: "{ attention.self.(query|key|value): 6, attention.output.dense: 6, (intermediate|output).dense: 10 }",
  lr: "5e-4",
  adaLr: "1.25e-3",
};

export const PRESETS: Readonly<Record<string, string>> = {
  demo: `# The demonstration: the study's six configurations on a small frozen transformer whose right ranks are known; data that is made, not downloaded.
name: demo
${EASY}
seeds: [13, 42, 87]
${EASY_SIX}${EASY_CLAIMS}`,

  "planted-six": `# The six configurations on planted ranks (easy), five paired seeds.
name: planted-six
${EASY}
seeds: [13, 42, 87, 100, 2024]
${EASY_SIX}${EASY_CLAIMS}`,

  "sst2-six": `# The six configurations on SST-2: give a BERT checkpoint's folder with --base DIR.
name: sst2-six
task: { name: sst2, maxLength: 64 }
seeds: [13, 42, 87, 100, 2024]
train: { epochs: 3, batchSize: 32, schedule: linear, warmup: 0.06, weightDecay: 0.01, clip: 1 }
${six({
  targets: "[query, key, value, dense]",
  lora: "r: 8, alpha: 16, dropout: 0.1",
  adaLora: "initR: 12, targetR: 8, alpha: 32, dropout: 0.1, tinit: 0.1, tfinal: 0.3, deltaT: 5, orthRegWeight: 0.1",
  manual: "{ attention.self.(query|key|value): 6, attention.output.dense: 6, (intermediate|output).dense: 10 }",
  lr: "5e-4",
  adaLr: "8e-4",
})}`,

  planted: `# Head, LoRA and full fine-tuning on planted ranks, five paired seeds.
name: planted
${PLANTED_TASK}
seeds: [13, 42, 87, 100, 2024]
train: { epochs: 8, batchSize: 64 }
${PLANTED_CONFIGS}`,

  "planted-rank": `# Can an allocator find where the ranks are? AdaLoRA shares 16 ranks among 8 modules; fixed-rank LoRA has 8 in each.
# Difficulty: 20 planted directions in 6 of 8 modules, each of 0.35 of the base weight's norm; 64 labels of a teacher whose head the
# student has.
name: planted-rank
task:
  name: planted-rank
  train: 16384
  length: 12
  labels: 64
  head: base
  strength: 0.35
  strengthOf: direction
  ranks:
    0.attention.self.value: 5
    0.intermediate.dense: 1
    1.intermediate.dense: 6
    2.attention.self.value: 3
    3.attention.self.value: 1
    3.intermediate.dense: 4
model: { hidden: 32, layers: 4, heads: 4, intermediate: 64, dropout: 0, initializerRange: 0.2, seed: 1 }
seeds: [13, 42, 87, 100, 2024]
train: { epochs: 8, batchSize: 64, evalEvery: 1024 }
configs:
  adalora: { method: adalora, initR: 8, targetR: 2, alpha: 16, target: [value, intermediate.dense], tinit: 0.4, tfinal: 0.2, deltaT: 10, orthRegWeight: 0.1, train: { lr: 1e-2 } }
  lora: { method: lora, r: 8, alpha: 16, target: [value, intermediate.dense], train: { lr: 5e-3 } }
`,

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

  wikitext2: `# WikiText-2 on a causal model: give it with --base, and with --data a folder with wikitext-2/.
# The texts as they are, in passages that end at blank lines, each read in windows of maxLength tokens that go on from the token before them. What was counted is
# printed: the files, the windows, how many tokens are predicted; perplexity is by token.
name: wikitext2
task: { name: causal-lm, train: wikitext-2/train.partial-1MB.txt, validation: wikitext-2/valid.txt, maxLength: 512, packing: true }
seeds: [13, 42, 87, 100, 2024]
train: { epochs: 3, batchSize: 8, schedule: linear, warmup: 0.06, weightDecay: 0.01, clip: 1 }
configs:
  lora: { method: lora, r: 8, alpha: 16, dropout: 0.1, target: all-linear, train: { lr: 5e-4 } }
  dora: { method: lora, dora: true, r: 8, alpha: 16, dropout: 0.1, target: all-linear, train: { lr: 5e-4 } }
`,

  ner: `# Names in posts (WNUT-17): give an encoder with --base, and with --data a folder with wnut17-ner/. Entity F1.
name: ner
task: { name: token-classification, train: wnut17-ner/wnut17train.conll, validation: wnut17-ner/emerging.dev.conll, maxLength: 128 }
seeds: [13, 42, 87, 100, 2024]
train: { epochs: 3, batchSize: 16, schedule: linear, warmup: 0.06, weightDecay: 0.01, clip: 1 }
${six(ENCODER)}`,

  qa: `# Answers in a text (XQuAD, English): give an encoder with --base, and with --data a folder with xquad-en/. Answer F1 and exact match.
# The first 38 articles are trained on, the last ten are asked: no text is in both.
name: qa
task:
  name: question-answering
  train: xquad-en/xquad.en.json
  trainRows: [1, 949]
  validation: { trainRows: [950, 1190] }
seeds: [13, 42, 87, 100, 2024]
train: { epochs: 4, batchSize: 8, schedule: linear, warmup: 0.06, weightDecay: 0.01, clip: 1 }
${six(ENCODER)}`,

  split: `# A sentence as two (WikiSplit): give a causal model with --base, and with --data a folder with wiki-split/. ROUGE-L of what the model writes, and perplexity.
# Writing is what takes the time: 200 rows are evaluated, once, at the end.
name: split
task: { name: wiki-split, train: tune.tsv, validation: validation.tsv, maxLength: 192, validationLimit: 200 }
seeds: [13, 42, 87, 100, 2024]
train: { epochs: 1, batchSize: 16, schedule: linear, warmup: 0.06, weightDecay: 0.01, clip: 1, evalEvery: end }
configs:
  lora: { method: lora, r: 8, alpha: 16, target: all-linear, train: { lr: 5e-4 } }
  adalora: { method: adalora, initR: 12, targetR: 8, alpha: 16, target: all-linear, tinit: 0.1, tfinal: 0.3, deltaT: 5, orthRegWeight: 0.1, train: { lr: 1.25e-3 } }
`,
};
