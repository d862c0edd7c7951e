/** The page: which view an address means, and the connection's state in words. */
import { compareView } from "./compare-view.ts";
import { h } from "./dom.ts";
import { runView } from "./run-view.ts";
import { runsView } from "./runs-view.ts";
import { firstRuns, type Known } from "./state.ts";
import type { Surroundings, View } from "./view.ts";

const main = document.getElementById("main")!;
const live = document.getElementById("live")!;
const known: Known = { runs: new Map(), metrics: [] };
const surroundings: Surroundings = {
  known,
  connected(on) {
    const words = on ? "live" : "no connection; trying again";
    if (live.textContent !== words) live.textContent = words;
    live.className = on ? "on" : "off";
  },
  again: () => void show(true),
};
let shown: View | undefined;
let asked = 0;

async function show(first: boolean): Promise<void> {
  const mine = ++asked;
  shown?.end();
  shown = undefined;
  const [, what, ...keys] = location.hash.split("/");
  try {
    await firstRuns(known);
    const view =
      what === "run" && keys.length === 1
        ? await runView(keys[0]!, surroundings)
        : what === "compare" && keys.length === 2
          ? await compareView(keys as [string, string], surroundings)
          : runsView(surroundings);
    // another address was asked for in the meantime
    if (mine !== asked) return view.end();
    shown = view;
    document.title = `${view.title} – lowrank`;
    main.replaceChildren(view.element);
  } catch (error) {
    if (mine !== asked) return;
    main.replaceChildren(
      h("h1", { tabindex: -1 }, "This cannot be shown"),
      h("p", {}, error instanceof Error ? error.message : String(error)),
      h("p", {}, h("a", { href: "#/" }, "all runs")),
    );
  }
  document.documentElement.dataset["shown"] = String(performance.now());
  // who reads with ears hears where they are; the first view begins at the top by itself
  if (!first) main.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

addEventListener("hashchange", () => void show(false));
void show(true);
