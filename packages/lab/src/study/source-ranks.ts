/** Ranks that one run found and another takes (`from`): which they are, and before any run is made, which they can be at most. */
import { quote } from "@lowrank/tensor";
import type { BaseShape } from "../bases/shape.ts";
import type { MethodConfig, Study } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import type { RunResult } from "../store/result.ts";

/** Rank of each module at the end of a run: what an allocator kept, else what the module has. */
export function ranksOf({ allocation, modules }: Pick<RunResult, "allocation" | "modules">): Map<string, number> {
  return allocation === undefined
    ? new Map(modules.map(({ module, rank = 0 }) => [module, rank]))
    : new Map(allocation.modules.map(({ module, kept }) => [module, kept]));
}

/**
 * The options with the ranks that their source begins with; those that take none from another as they are.
 * @throws InputError where the source has no ranks, or adapts other modules
 */
export function withMostRanks(options: MethodConfig, configs: Study["configs"], shape: BaseShape): MethodConfig {
  const { from } = options;
  if (from === undefined) return options;
  const source = withMostRanks(configs[from.config]!, configs, shape);
  const { modules } = methods.get(source.method).predict(shape, source);
  const ranks = new Map(modules.map(({ module, rank = 0 }) => [module, rank]));
  if (modules.length === 0 || modules.some(({ rank }) => rank === undefined))
    throw new InputError(`"from" ${quote(from.config)}: a ${source.method} run has no ranks that could be taken`);
  const method = methods.get(options.method);
  const own = method.predict(shape, options).modules.map(({ module }) => module);
  const other = own.find((module) => !ranks.has(module)) ?? modules.find(({ module }) => !own.includes(module))?.module;
  if (other !== undefined)
    throw new InputError(
      `"from" ${quote(from.config)}: only one of the two adapts ${quote(other)}; give both the same "target" and "exclude"`,
    );
  return method.withRanks!(options, ranks);
}
