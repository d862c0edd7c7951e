/**
 * Every property test draws its cases from one seed, so that a commit passes or fails the same way each time. `LOWRANK_SEED=N` takes
 * another; `npm run test:soak` takes a new one each time and says which.
 */
import fc from "fast-check";

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(process.env["LOWRANK_SEED"] ?? 20261124) });
