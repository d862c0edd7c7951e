/**
 * Attention that a device computes tile by tile (`templates/attention`): queries × keys numbers never exist there, forward or backward. What stands
 * here is its meaning, in plain ops: the reference computes it, and any device that declines.
 */
import type { Attrs } from "../primitives/primitive.ts";
import { attentionLayout, siteKey } from "../random/layout.ts";
import { attentionTiles } from "../templates/attention/tiles.ts";
import type { Tensor } from "../tensor.ts";
import { add, eq, ge, gt, le, logicalAnd, maximum, mul, sub } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { composite, customVjp } from "./make.ts";
import { matmul } from "./matmul.ts";
import { dropout, type RandomKey } from "./random.ts";
import { amax, sum } from "./reductions.ts";
import { LOWEST } from "./softmax.ts";
import { iota, where } from "./sources.ts";
import { exp, reciprocal } from "./unary.ts";
import { barrier, detach, expand, pad, reshape, transpose } from "./views.ts";

export interface TiledOptions {
  readonly scale: number;
  readonly causal: boolean;
  /** Keys that a causal query sees at most; 0: all up to its own. */
  readonly window: number;
  /** Queries and keys of a tile at most. */
  readonly tile: number;
  /** bool [batch or 1, 1, 1, keys]: those that may be seen. */
  readonly mask: Tensor | undefined;
  /** i32 [batch or 1, 1, queries, 1]: the first key that a query may see. */
  readonly first: Tensor | undefined;
  readonly dropout: { readonly p: number; readonly key: RandomKey } | undefined;
}

/** For q [batch, heads, queries, d] and k, v [batch, heads or a divisor of it, keys, d]. */
export const tiledAttention: (q: Tensor, k: Tensor, v: Tensor, options: TiledOptions) => Tensor =
  /* @__PURE__ */ inPrecision("full", (q, k, v, options) => {
    const { mask, dropout: given } = options;
    const drop = given === undefined || given.p === 0 ? undefined : { p: given.p, words: wordsOf(given.key) };
    const key = iota(k, 2);
    const place = mask === undefined ? undefined : where(mask, reshape(key, [1, 1, 1, k.shape[2]!]), -1);
    const body = new Body(q, k, v, options, place, drop);
    const { peak, inverse } = body.statistics();
    const out = matmul(body.dropped(body.weights(peak, inverse)), body.spread(v));
    const beside = [options.first, place, drop?.words].filter((x) => x !== undefined);
    const attrs: Attrs = {
      scale: options.scale,
      causal: options.causal,
      window: options.window,
      tile: options.tile,
      first: options.first !== undefined,
      place: place !== undefined,
      p: drop?.p ?? 0,
    };
    // behind `out`: what is kept for the backward pass comes from the same phases
    const [p, r] = [barrier(peak, out), barrier(inverse, out)];
    composite("attentionTiles", [out, p, r], [q, k, v, ...beside], attrs, attentionTiles);
    return customVjp(out, [q, k, v], (g) =>
      composite(
        "attentionTilesGradient",
        body.gradients(g, out, p, r),
        [q, k, v, g, out, p, r, ...beside],
        attrs,
        attentionTiles,
      ),
    );
  });

/** The key of a site as that of site 0, u32 [3], the last the row of the first example: one kernel then draws for all sites. */
function wordsOf({ words, site }: RandomKey): Tensor {
  const three = pad(words, [[0, 3 - words.size]]);
  return where(eq(iota(three, 0), 0), add(three, siteKey(site)), three);
}

interface Drop {
  readonly p: number;
  readonly words: Tensor;
}

/** Attention in plain ops. */
class Body {
  readonly #q: Tensor;
  readonly #k: Tensor;
  readonly #v: Tensor;
  readonly #options: TiledOptions;
  readonly #visible: Tensor | undefined;
  readonly #drop: Drop | undefined;

  constructor(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    options: TiledOptions,
    place: Tensor | undefined,
    drop: Drop | undefined,
  ) {
    [this.#q, this.#k, this.#v, this.#options, this.#drop] = [q, k, v, options, drop];
    this.#visible = visible(q, k, options, place);
  }

  /** The maximum of each row of scores, and 1 / Σ e^(score − maximum): [batch, heads, queries, 1]. */
  statistics(): { peak: Tensor; inverse: Tensor } {
    const seen = this.#scores(-Infinity);
    const peak = maximum(amax(detach(seen), -1, true), LOWEST[seen.dtype]!);
    const total = sum(exp(sub(seen, peak)), -1, true);
    return { peak, inverse: where(eq(total, 0), 0, reciprocal(total)) };
  }

  weights(peak: Tensor, inverse: Tensor): Tensor {
    return mul(exp(sub(this.#scores(-Infinity), peak)), inverse);
  }

  dropped(x: Tensor): Tensor {
    const drop = this.#drop;
    return drop === undefined ? x : dropout(x, drop.p, { words: drop.words, site: 0 }, attentionLayout());
  }

  /** Heads of keys for each head of queries. */
  spread(x: Tensor): Tensor {
    const [batch, heads, length, width] = x.shape as [number, number, number, number];
    const all = this.#q.shape[1]!;
    if (all === heads) return x;
    const wide = expand(reshape(x, [batch, heads, 1, length, width]), [batch, heads, all / heads, length, width]);
    return reshape(wide, [batch, all, length, width]);
  }

  /** Of q, k and v from that of `out`. */
  gradients(g: Tensor, out: Tensor, peak: Tensor, inverse: Tensor): [Tensor, Tensor, Tensor] {
    const { scale } = this.#options;
    const w = this.weights(peak, inverse);
    const dw = this.dropped(matmul(g, transpose(this.spread(this.#v))));
    const ds = mul(mul(w, sub(dw, sum(mul(g, out), -1, true))), scale);
    return [
      matmul(ds, this.spread(this.#k)),
      this.#gathered(matmul(transpose(ds), this.#q)),
      this.#gathered(matmul(transpose(this.dropped(w)), g)),
    ];
  }

  /** The sum over heads of queries that share one of keys. */
  #gathered(x: Tensor): Tensor {
    const [batch, all, length, width] = x.shape as [number, number, number, number];
    const heads = this.#k.shape[1]!;
    return all === heads ? x : sum(reshape(x, [batch, heads, all / heads, length, width]), 2);
  }

  #scores(hidden: number): Tensor {
    const scores = mul(matmul(this.#q, transpose(this.spread(this.#k))), this.#options.scale);
    return this.#visible === undefined ? scores : where(this.#visible, scores, hidden);
  }
}

/** bool, broadcastable to [batch, heads, queries, keys]; undefined where all is seen. */
function visible(q: Tensor, k: Tensor, options: TiledOptions, place: Tensor | undefined): Tensor | undefined {
  const { causal, window, first } = options;
  const [queries, keys] = [q.shape[2]!, k.shape[2]!];
  const key = place ?? reshape(iota(k, 2), [1, 1, 1, keys]);
  const own = add(iota(q, 2), keys - queries);
  const tests = [
    ...(place === undefined ? [] : [ge(key, 0)]),
    ...(first === undefined ? [] : [le(first, key)]),
    ...(causal ? [le(key, own)] : []),
    ...(causal && window > 0 ? [gt(key, sub(own, window))] : []),
  ];
  return tests.length === 0 ? undefined : tests.reduce((a, b) => logicalAnd(a, b));
}
