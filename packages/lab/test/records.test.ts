import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fc, test } from "@fast-check/vitest";
import { architectures } from "@lowrank/models";
import { describe, expect, it } from "vitest";
import { drawnPlan, shapeModel } from "../src/bases/plan.ts";
import { shapeOf } from "../src/bases/shape.ts";
import { allocators } from "../src/allocators/registry.ts";
import { methods } from "../src/methods/registry.ts";
import { metrics } from "../src/metrics/registry.ts";
import type { LabelledItems } from "../src/records/metric.ts";
import { Registry } from "../src/records/registry.ts";
import { tasks } from "../src/tasks/registry.ts";

describe("a registry", () => {
  const registry = (): Registry<{ name: string }> => new Registry("fruit", [{ name: "apple" }, { name: "pear" }]);

  it("finds records by name and says which is meant", () => {
    expect(registry().get("pear")).toEqual({ name: "pear" });
    expect(() => registry().get("peer")).toThrow(`there is no fruit "peer"; did you mean "pear"?`);
  });

  it("takes a record once, and no other under its name", () => {
    const fruits = registry();
    const fig = { name: "fig" };
    fruits.register(fig);
    fruits.register(fig);
    expect(fruits.names).toEqual(["apple", "pear", "fig"]);
    expect(() => fruits.register({ name: "fig" })).toThrow(`there is a fruit "fig" already`);
    expect(() => fruits.register({ name: "Fig!" })).toThrow(/a fruit needs a name of lower-case letters/);
    expect(() => fruits.register({} as never)).toThrow(/got null/);
  });
});

describe("metrics of labels", () => {
  const items = fc.integer({ min: 2, max: 5 }).chain((classes) =>
    fc.record({
      classes: fc.constant(classes),
      pairs: fc.array(fc.tuple(fc.nat(classes - 1), fc.nat(classes - 1)), { minLength: 1, maxLength: 30 }),
      cut: fc.nat(30),
    }),
  );
  test.prop([items])("count all items, however they are cut into batches", ({ classes, pairs, cut }) => {
    const part = (from: number, to?: number): LabelledItems => ({
      predicted: pairs.slice(from, to).map(([guess]) => guess),
      labels: pairs.slice(from, to).map(([, truth]) => truth),
      classes,
    });
    for (const metric of metrics.all.filter(({ items: counted }) => counted === "labels")) {
      const whole = metric.value(metric.update(undefined, part(0)));
      const both = metric.value(metric.update(metric.update(undefined, part(0, cut)), part(cut)));
      expect(both, metric.name).toBe(whole);
      // a mean of the two halves' values would be another number as soon as they differ in size and value
      if (metric.unit === "share") expect(whole >= 0 && whole <= 1).toBe(true);
    }
  });
});

describe("what trains", () => {
  it("names no task, method or allocator", () => {
    const folder = fileURLToPath(new URL("../src/train/", import.meta.url));
    const names = [...tasks.names, ...methods.names, ...allocators.names];
    const files = readdirSync(folder);
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      const text = readFileSync(join(folder, file), "utf8");
      expect(
        names.filter((name) => new RegExp(`["'\`]${name}["'\`]`).test(text)),
        file,
      ).toEqual([]);
      expect(text, file).not.toMatch(/Bert[A-Z]|from "\.\.\/(tasks|methods|allocators)\//);
    }
  });
});

describe("every task", () => {
  it("has metrics that count its items, and a schema that knows its name", () => {
    for (const task of tasks.all) {
      for (const name of task.metrics)
        expect([task.items].flat(), `${task.name}: ${name}`).toContain(metrics.get(name).items);
      expect(task.schema.shape["name"]?.safeParse(task.name).success, task.name).toBe(true);
      expect(task.schema.safeParse({ name: task.name, noSuchKey: 1 }).success, task.name).toBe(false);
    }
  });
});

describe("every method", () => {
  it("has a schema that knows its name, and defaults named after the task's head", () => {
    for (const method of methods.all) {
      const schema = method.schema({ head: ["score"] });
      expect(schema.shape["method"]?.safeParse(method.name).success, method.name).toBe(true);
      const read = schema.safeParse({ method: method.name, target: ["q"], noSuchKey: 1 });
      expect(read.success, method.name).toBe(false);
      const least = Object.fromEntries(
        Object.entries({ method: method.name, target: ["q"] }).filter(([key]) => key in schema.shape),
      );
      const options = schema.parse(least) as Readonly<Record<string, unknown>>;
      const whole = method.whole(options as never);
      expect(whole, method.name).toEqual(method.name === "full" ? [] : ["score"]);
    }
  });
});

describe("a base that is drawn", () => {
  const families = [...new Set(Object.values(architectures).map(({ family }) => family))].filter(
    ({ sized }) => sized !== undefined,
  );
  const model = { hidden: 24, layers: 2, heads: 2, intermediate: 40, dropout: 0.25, initializerRange: 0.03, seed: 1 };

  it.each(families.map(({ modelType }) => modelType))("of the family %s has the sizes that are given", (family) => {
    const plan = drawnPlan({ ...model, family }, "SEQ_CLS", { vocab: 50, positions: 12, labels: 3 });
    expect(plan.config).toMatchObject({
      vocabSize: 50,
      // RoBERTa counts from behind the id of padding
      maxPositionEmbeddings: family === "roberta" ? 14 : 12,
      hiddenSize: 24,
      numHiddenLayers: 2,
      numAttentionHeads: 2,
      initializerRange: 0.03,
      numLabels: 3,
    });
    const dropouts = Object.entries(plan.config).filter(([key, value]) => /dropout|pdrop/i.test(key) && value !== null);
    expect(dropouts.length).toBeGreaterThan(0);
    expect(dropouts.map(([, value]) => value)).toEqual(dropouts.map(() => 0.25));
    const { linears, head } = shapeOf(shapeModel(plan), "SEQ_CLS");
    expect(linears.some(({ in: inner, out }) => inner === 40 || out === 40)).toBe(true);
    expect(linears.filter(({ path }) => head.some((name) => `${path}.`.startsWith(`${name}.`))).at(-1)!.out).toBe(3);
  });

  it("of no family, or of one that is only loaded, is refused", () => {
    const needs = { vocab: 50, positions: 12, labels: 2 };
    expect(() => drawnPlan({ ...model, family: "brt" }, "SEQ_CLS", needs)).toThrow(
      /"model\.family" "brt": .*model_type "brt" is not built/,
    );
    expect(() => drawnPlan({ ...model, family: "distilbert" }, "SEQ_CLS", needs)).toThrow(
      `"model.family" "distilbert": models of this family are loaded, not drawn; give a base`,
    );
  });
});
