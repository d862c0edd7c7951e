/** Disentangled attention (He et al. 2021): words meet words, and words meet distances. Property names are checkpoint names. */
import { Dropout, Linear, Module, type Projection } from "@lowrank/nn";
import { ops, withPrecision, type Tensor } from "@lowrank/tensor";
import { attend, splitHeads, type Sight } from "../shared/attention.ts";
import { initOf } from "../shared/config.ts";
import type { LayerOutput } from "../shared/outputs.ts";
import type { DebertaV2Config } from "./config.ts";
import { mixedInBlocks } from "./blocks.ts";
import { intoPlace, type Distances } from "./relative.ts";

/** What a layer needs besides the hidden state; the same for all layers. */
export interface DebertaContext {
  /** bool [batch, length]: tokens that are no padding. Undefined: none is. */
  readonly real: Tensor | undefined;
  /** Rows of the table of distances from `first` on, [rows, hidden]: all that the length can ask for. Undefined without relative attention. */
  readonly relative: { readonly table: Tensor; readonly first: number } | undefined;
}

export class DisentangledSelfAttention extends Module {
  readonly query_proj: Projection;
  readonly key_proj: Projection;
  readonly value_proj: Projection;
  readonly pos_key_proj: Projection | undefined;
  readonly pos_query_proj: Projection | undefined;
  readonly pos_dropout: Dropout;
  readonly dropout: Dropout;
  readonly #heads: number;
  readonly #scale: number;
  readonly #distances: Distances;
  readonly #toDistances: boolean;
  readonly #fromDistances: boolean;

  constructor(config: DebertaV2Config, distances: Distances) {
    super();
    const { hiddenSize, numAttentionHeads, posAttType, relativeAttention, shareAttKey } = config;
    const make = (): Linear => new Linear(hiddenSize, hiddenSize, { init: initOf(config) });
    const [c2p, p2c] = [posAttType.includes("c2p"), posAttType.includes("p2c")];
    const own = relativeAttention && !shareAttKey;
    this.query_proj = make();
    this.key_proj = make();
    this.value_proj = make();
    this.pos_key_proj = own && c2p ? make() : undefined;
    this.pos_query_proj = own && p2c ? make() : undefined;
    this.pos_dropout = new Dropout(config.hiddenDropoutProb);
    this.dropout = new Dropout(config.attentionProbsDropoutProb);
    this.#heads = numAttentionHeads;
    // each kind of score has the same part in their sum's variance
    this.#scale = 1 / Math.sqrt((hiddenSize / numAttentionHeads) * (1 + Number(c2p) + Number(p2c)));
    this.#distances = distances;
    this.#toDistances = relativeAttention && c2p;
    this.#fromDistances = relativeAttention && p2c;
  }

  /** x [batch, length, hidden]. */
  forward(x: Tensor, { real, relative }: DebertaContext): LayerOutput {
    return this.scoped(() => {
      const [q, k, v] = [this.query_proj, this.key_proj, this.value_proj].map((p) =>
        splitHeads(p.forward(x), this.#heads),
      ) as [Tensor, Tensor, Tensor];
      const table = relative === undefined ? undefined : this.pos_dropout.forward(relative.table);
      const keys = this.#toDistances ? (this.pos_key_proj ?? this.key_proj).forward(table!) : undefined;
      const queries = this.#fromDistances ? (this.pos_query_proj ?? this.query_proj).forward(table!) : undefined;
      const weights = (bq: Tensor, bk: Tensor, from: number, beside: readonly Tensor[]): Tensor => {
        const [toKeys, toQueries] = [beside[0], beside[keys === undefined ? 0 : 1]];
        const scores = withPrecision(undefined, () =>
          this.#scores(
            wide(bq),
            wide(bk),
            from,
            relative?.first ?? 0,
            keys === undefined ? undefined : wide(toKeys!),
            queries === undefined ? undefined : wide(toQueries!),
          ),
        );
        return maskedWeights(scores, real, from);
      };
      const beside = [keys, queries].filter((t) => t !== undefined);
      const sight: Sight = {
        weights: (bq, bk) => weights(bq, bk, 0, beside),
        mixed: (mq, mk, mv, dropout) => mixedInBlocks(mq, mk, mv, { weights, beside, dropout }),
      };
      return attend(q, k, v, sight, this.dropout);
    });
  }

  /**
   * (q·k + q·key(distance) + k·query(distance))·scale for queries from position `from` on: [batch, heads, queries, keys].
   * @param first row of the table that those of distances begin with
   */
  #scores(
    q: Tensor,
    k: Tensor,
    from: number,
    first: number,
    distanceKeys: Tensor | undefined,
    distanceQueries: Tensor | undefined,
  ): Tensor {
    const [n, m] = [q.shape[2]!, k.shape[2]!];
    // from the last query and first key, which are farthest, down to the first query and last key
    const rows = Int32Array.from({ length: n + m - 1 }, (_, i) => this.#distances.row(from + n - 1 - i) - first);
    const against = (x: Tensor, distances: Tensor, at: Int32Array): Tensor =>
      ops.matmul(x, ops.transpose(this.#perHead(distances, at, x.shape[0]!)));
    let scores = ops.matmul(q, ops.transpose(k));
    if (distanceKeys !== undefined) scores = ops.add(scores, intoPlace(against(q, distanceKeys, rows), m));
    if (distanceQueries !== undefined)
      scores = ops.add(scores, ops.transpose(intoPlace(against(k, distanceQueries, rows.toReversed()), n)));
    return ops.mul(scores, this.#scale);
  }

  /** Rows of [rows, heads · d] as [batch, heads, rows, d]. */
  #perHead(x: Tensor, rows: Int32Array, batch: number): Tensor {
    const picked = ops.gatherRows(x, x.device.constant(rows, [rows.length], "i32"));
    const heads = splitHeads(ops.reshape(picked, [1, rows.length, x.shape[1]!]), this.#heads);
    return ops.expand(heads, [batch, ...heads.shape.slice(1)]);
  }
}

/** Full precision: half could not hold the scores of long vectors. */
function wide(x: Tensor): Tensor {
  return ops.cast(x, x.device.defaultFloat);
}

/** softmax over keys that are no padding; a query that is padding attends all evenly, as in transformers. Its output reaches no other. */
function maskedWeights(scores: Tensor, real: Tensor | undefined, from: number): Tensor {
  if (real === undefined) return ops.softmax(scores, -1);
  const [batch, length] = real.shape as [number, number];
  const n = scores.shape[2]!;
  const keys = ops.reshape(real, [batch, 1, 1, length]);
  const padding = ops.reshape(ops.logicalNot(ops.slice(real, 1, from, from + n)), [batch, 1, n, 1]);
  return ops.softmax(ops.where(padding, 0, scores), -1, ops.logicalOr(keys, padding));
}
