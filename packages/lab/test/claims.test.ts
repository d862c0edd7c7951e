/** Claims of a study file: what each one comes to mean, what is refused, and that no run knows of them. */
import { describe, expect, it } from "vitest";
import { claimsOf } from "../src/config/claims.ts";
import { plannedRuns, studyOf } from "../src/config/load.ts";

const STUDY = {
  name: "small",
  task: { name: "sst2" },
  model: { hidden: 32, layers: 1, heads: 2, intermediate: 64 },
  seeds: [1, 2, 3],
  configs: {
    "b-fp": { method: "lora", target: ["query"] },
    "b-q4": { method: "lora", target: ["query"], storage: "nf4" },
    "b-ada": { method: "adalora", target: ["query"] },
  },
};
const CLAIMS = {
  fixed: { says: "fixed rank beats adaptive", greater: ["b-fp", "b-ada"], metric: "accuracy", task: "sst2" },
  bits: { says: "4-bit costs nothing", equal: ["b-q4", "b-fp"] },
  time: {
    says: "adaptive ranks take 81 % more time",
    change: ["b-ada", ["b-fp", "b-q4"]],
    measured: "step",
    by: 0.81,
    margin: 0.05,
  },
};

async function claims(said: object, study: object = STUDY): Promise<ReturnType<typeof claimsOf>> {
  return claimsOf(await studyOf({ ...study, claims: said }, "study.yaml"), "study.yaml");
}

async function refusal(said: object, study: object = STUDY): Promise<string> {
  return claims({ c: { says: "so", ...said } }, study).then(
    () => "",
    (error: Error) => error.message,
  );
}

describe("claims", () => {
  it("mean what they say, with the task's first metric and a point of a share", async () => {
    const [fixed, bits, time] = await claims(CLAIMS);
    expect(fixed).toEqual({
      name: "fixed",
      says: "fixed rank beats adaptive",
      kind: "greater",
      configs: ["b-fp", "b-ada"],
      metric: "accuracy",
      task: undefined,
      margin: undefined,
    });
    expect(bits).toMatchObject({ kind: "equal", metric: "accuracy", margin: 0.01 });
    expect(time).toMatchObject({ kind: "change", configs: [["b-ada"], ["b-fp", "b-q4"]], by: 0.81, margin: 0.05 });
  });

  it("hold no two shares to be equal that are twenty points apart", async () => {
    const equal = ["b-q4", "b-fp"];
    expect(await refusal({ equal, margin: 1 })).toBe(
      'study.yaml: "claims.c.margin": 1 is 100 points of accuracy, so wide that anything is equal; a point is 0.01',
    );
    expect(await refusal({ equal, margin: 0.05 })).toBe("");
    expect(await refusal({ equal, metric: "loss", margin: 1 })).toBe("");
  });

  it("are no part of what a run is", async () => {
    const [without, with_] = await Promise.all([studyOf(STUDY, "a"), studyOf({ ...STUDY, claims: CLAIMS }, "b")]);
    expect(plannedRuns(with_)).toEqual(plannedRuns(without));
  });

  it("name configs, metrics and tasks that there are", async () => {
    const equal = ["b-fp", "b-q4"];
    expect(await refusal({ greater: ["b-fp", "b-adda"] })).toBe(
      'study.yaml: "claims.c.greater": there is no config "b-adda"; did you mean "b-ada"?',
    );
    expect(await refusal({ equal: ["b-fp", "b-fp"] })).toMatch(/"b-fp" is there twice/);
    expect(await refusal({ equal, metric: "perplexity" })).toMatch(/"claims.c.metric": the task sst2 has no "perplex/);
    expect(await refusal({ equal, task: "sst3" })).toMatch(/"claims.c.task": there is no task "sst3".*"sst2"/);
    const { task: _, ...rest } = STUDY;
    const two = { ...rest, tasks: { a: { name: "sst2" }, b: { name: "sst2", trainLimit: 10 } } };
    expect(await refusal({ equal }, two)).toMatch(/"claims.c.task" is missing: the study has several; known: a, b/);
    expect(await claims({ c: { says: "so", equal, task: "b" } }, two)).toMatchObject([{ task: "b" }]);
  });

  it("say one thing, with the words that it needs and no other", async () => {
    const pair = ["b-fp", "b-q4"];
    expect(await refusal({})).toMatch(/says nothing that could be decided; give one of greater, less, equal, change/);
    expect(await refusal({ greater: pair, less: pair })).toMatch(/says greater and less; give one/);
    expect(await refusal({ greater: pair, margin: 0.1 })).toMatch(/"claims.c.margin" is for an equality/);
    expect(await refusal({ greater: pair, by: 0.1 })).toMatch(/"claims.c.by" is for a change/);
    expect(await refusal({ equal: pair, metric: "loss" })).toMatch(/"claims.c.margin" is missing/);
    expect(await refusal({ change: pair, by: 0.1, margin: 0.1 })).toMatch(/"claims.c.measured" is missing/);
    expect(await refusal({ change: pair, metric: "f1" })).toMatch(/"claims.c.metric" is for what runs are scored by/);
    expect(await refusal({ grater: pair })).toMatch(/unknown key "claims.c.grater"; did you mean "greater"/);
  });
});
