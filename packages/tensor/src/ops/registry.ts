/** Every op there is. Adding a name here is all that adding a composed op takes besides its own file. */
import * as activations from "./activations.ts";
import * as binary from "./binary.ts";
import * as contractions from "./contractions.ts";
import { checkIndices } from "./indices.ts";
import * as losses from "./losses.ts";
import * as norms from "./norms.ts";
import * as quantized from "./quantized.ts";
import * as rearrange from "./rearrange.ts";
import * as reductions from "./reductions.ts";
import * as softmaxes from "./softmax.ts";
import { cast, iota, randomBits, where } from "./sources.ts";
import * as transformer from "./transformer.ts";
import * as unary from "./unary.ts";
import * as views from "./views.ts";

type Records = typeof activations &
  typeof binary &
  typeof contractions &
  typeof losses &
  typeof norms &
  typeof quantized &
  typeof rearrange &
  typeof reductions &
  typeof softmaxes &
  typeof transformer &
  typeof unary &
  typeof views & {
    cast: typeof cast;
    iota: typeof iota;
    randomBits: typeof randomBits;
    where: typeof where;
    checkIndices: typeof checkIndices;
  };

export const records: Records = {
  ...unary,
  ...binary,
  ...views,
  cast,
  iota,
  randomBits,
  where,
  checkIndices,
  ...reductions,
  ...contractions,
  ...quantized,
  ...rearrange,
  ...activations,
  ...softmaxes,
  ...losses,
  ...norms,
  ...transformer,
};
