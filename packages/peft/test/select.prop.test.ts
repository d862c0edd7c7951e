/** Module selection against a slow restatement of PEFT's rules, on random trees. */
import { Linear, Module } from "@lowrank/nn";
import fc from "fast-check";
import { expect, it } from "vitest";
import { attach, adapterConfig, lookUpPattern, resolveTargets } from "../src/index.ts";

class Node extends Module {}

/** A module whose projections stand at these paths. */
function treeOf(paths: readonly string[]): Module {
  const root = new Node();
  for (const path of paths) {
    let at = root as unknown as Record<string, Module>;
    const parts = path.split(".");
    for (const part of parts.slice(0, -1)) at = (at[part] ??= new Node()) as unknown as Record<string, Module>;
    at[parts.at(-1)!] = new Linear(2, 3);
  }
  return root;
}

const leaf = fc.constantFrom("query", "value", "dense", "self_query");
const paths = fc.uniqueArray(
  fc
    .tuple(
      fc.constantFrom("encoder", "pooler"),
      fc.constantFrom("layer", "block"),
      fc.nat({ max: 3 }).map(String),
      leaf,
    )
    .map((p) => p.join(".")),
  { minLength: 1, maxLength: 8 },
);

const atDot = (path: string, name: string): boolean => path === name || path.endsWith(`.${name}`);
const some = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[] | undefined> =>
  fc.option(fc.uniqueArray(item, { minLength: 1 }), { nil: undefined });

it("takes names and dotted suffixes, leaves out exclusions and other layers; each name must match, or is listed", () => {
  fc.assert(
    fc.property(
      paths,
      fc.uniqueArray(leaf, { minLength: 1 }),
      some(leaf),
      some(fc.nat({ max: 3 })),
      fc.constantFrom("error" as const, "warn" as const),
      (all, targets, excluded, layers, onUnmatchedPattern) => {
        const named = all.filter((p) => targets.some((t) => atDot(p, t)));
        const want = named.filter(
          (p) => excluded?.some((e) => atDot(p, e)) !== true && layers?.includes(Number(p.split(".")[2])) !== false,
        );
        const idle = [
          ...targets.filter((t) => !all.some((p) => atDot(p, t))),
          ...(excluded ?? []).filter((e) => !all.some((p) => atDot(p, e))),
          ...(layers ?? []).filter((n) => !named.some((p) => Number(p.split(".")[2]) === n)).map(String),
        ];
        const resolve = (): ReturnType<typeof attach> =>
          attach(treeOf(all), {
            targetModules: targets,
            excludeModules: excluded,
            layersToTransform: layers,
            onUnmatchedPattern,
          });
        if (want.length === 0 || (idle.length > 0 && onUnmatchedPattern === "error")) {
          expect(resolve).toThrow(want.length === 0 ? /match(es)? nothing/ : /matches nothing/);
          return;
        }
        const adapter = resolve();
        expect(new Set(adapter.table.map((row) => row.module))).toEqual(new Set(want));
        expect(adapter.warnings).toHaveLength(idle.length);
        for (const name of idle) expect(adapter.warnings.some((w) => w.includes(name))).toBe(true);
      },
    ),
  );
});

it("a string must match the whole path", () => {
  const tree = treeOf(["encoder.layer.0.query", "encoder.layer.1.query"]);
  expect(
    resolveTargets(tree, adapterConfig({ targetModules: "encoder\\.layer\\.1\\.query" })).map((r) => r.module),
  ).toEqual(["encoder.layer.1.query"]);
  expect(() => resolveTargets(tree, adapterConfig({ targetModules: "query" }))).toThrow(
    /a string is a regular expression for the whole path/,
  );
  expect(() => resolveTargets(tree, adapterConfig({ targetModules: "(" }))).toThrow(/"\(" is not a regular expression/);
});

it("the first pattern that matches the end of the path at a dot wins", () => {
  expect(lookUpPattern({ dense: 1, "output.dense": 2 }, "a.output.dense")).toBe("dense");
  expect(lookUpPattern({ "output.dense": 2, dense: 1 }, "a.output.dense")).toBe("output.dense");
  expect(lookUpPattern({ query: 1 }, "self_query")).toBeUndefined();
  expect(lookUpPattern({ attention: 6 }, "layer.0.attention.self.query")).toBeUndefined();
  expect(lookUpPattern({ "attention.*": 6 }, "layer.0.attention.self.query")).toBe("attention.*");
});

it("ranks, alphas and scales of the table follow the patterns", () => {
  const rows = resolveTargets(
    treeOf(["a.query", "a.dense"]),
    adapterConfig({
      r: 8,
      alpha: 16,
      targetModules: ["query", "dense"],
      rankPattern: { dense: 10 },
      alphaPattern: { query: 4 },
    }),
  );
  expect(
    rows.map(({ module, rank, alpha, scale, parameters }) => ({ module, rank, alpha, scale, parameters })),
  ).toEqual([
    { module: "a.query", rank: 8, alpha: 4, scale: 0.5, parameters: 40 },
    { module: "a.dense", rank: 10, alpha: 16, scale: 1.6, parameters: 50 },
  ]);
});
