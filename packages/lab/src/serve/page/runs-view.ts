/** All runs as a table: sorted by a click on a header, filtered by words and state; two of them can be compared. */
import { h } from "./dom.ts";
import { sorted, type SortKey } from "./order.ts";
import { duration, share, shortNumber, since } from "./numbers.ts";
import { follow } from "./state.ts";
import { hasNewMetric, MARKS, type Surroundings, type View } from "./view.ts";
import type { WireMetric, WireRun } from "./wire.ts";

interface Column {
  readonly title: string;
  readonly key: SortKey;
  readonly kind: string;
  readonly cell: (run: WireRun) => string;
}

/** More do not fit beside each other. */
const MOST_METRICS = 2;

function columnsOf(metrics: readonly WireMetric[]): Column[] {
  return [
    { title: "run", key: "name", kind: "name", cell: ({ name }) => name },
    { title: "state", key: "state", kind: "state", cell: ({ state }) => state },
    { title: "config", key: "config", kind: "wide", cell: ({ config }) => config ?? "" },
    { title: "seed", key: "seed", kind: "num wide", cell: ({ seed }) => (seed === undefined ? "" : String(seed)) },
    { title: "step", key: "step", kind: "num middle", cell: stepWords },
    { title: "loss", key: "loss", kind: "num", cell: ({ loss }) => (loss === undefined ? "" : shortNumber(loss)) },
    ...metrics.slice(0, MOST_METRICS).map(({ name, label, share: percent }, m) => ({
      title: percent ? `${label} %` : label,
      key: `metric:${name}` as const,
      kind: m === 0 ? "num" : "num middle",
      cell: ({ metrics: scores }: WireRun) =>
        scores[name] === undefined ? "" : percent ? share(scores[name]) : shortNumber(scores[name]),
    })),
    {
      title: "time",
      key: "seconds",
      kind: "num wide",
      cell: ({ seconds }) => (seconds === undefined ? "" : duration(seconds)),
    },
    { title: "changed", key: "changed", kind: "num wide", cell: ({ changed }) => since(changed) },
  ];
}

function stepWords({ step, steps, state }: WireRun): string {
  if (step === undefined) return "";
  return state === "finished" || steps === undefined ? String(step) : `${step} / ${steps}`;
}

export function runsView({ known, connected, again }: Surroundings): View {
  const rows = new Map<string, HTMLTableRowElement>();
  const picked = new Set<string>();
  const columns = columnsOf(known.metrics);
  const better = new Map(known.metrics.map((metric) => [metric.name, metric.better]));
  let [by, down] = ["name" as SortKey, false];

  const search = h("input", { type: "search", id: "search", placeholder: "name, config, task …" });
  const state = h(
    "select",
    { id: "state" },
    h("option", { value: "" }, "every state"),
    ...Object.keys(MARKS).map((name) => h("option", { value: name }, name)),
  );
  const count = h("p", { class: "count", role: "status" });
  const compare = h("a", { class: "button", "aria-disabled": "true" }, "compare two");
  const body = h("tbody");
  const heads = columns.map((column) => {
    const button = h("button", { type: "button", click: () => sortBy(column.key) }, column.title);
    return h("th", { scope: "col", class: column.kind }, button);
  });
  const head = h(
    "thead",
    {},
    h("tr", {}, h("th", { scope: "col", class: "pick" }, h("span", { class: "unseen" }, "compare")), ...heads),
  );
  const element = h(
    "div",
    {},
    h("h1", { tabindex: -1 }, "Runs"),
    h(
      "form",
      { class: "tools", role: "search", submit: (event) => event.preventDefault() },
      h("span", { class: "field grows" }, h("label", { for: "search" }, "find"), search),
      h("span", { class: "field" }, h("label", { for: "state" }, "state"), state),
      compare,
    ),
    count,
    h(
      "div",
      { class: "scroll", role: "region", "aria-label": "runs", tabindex: 0 },
      h("table", { class: "runs" }, h("caption", { class: "unseen" }, "All runs; headers sort"), head, body),
    ),
  );

  const rowOf = (run: WireRun): HTMLTableRowElement => {
    const row = rows.get(run.key) ?? newRow(run);
    rows.set(run.key, row);
    columns.forEach(({ cell, kind }, c) => {
      const at = row.cells[c + 1]!;
      const target = kind === "name" ? at.firstElementChild! : kind === "state" ? at.children[1]! : at;
      const words = cell(run);
      if (target.textContent !== words) target.textContent = words;
    });
    row.className = `is-${run.state}`;
    const [mark, , why] = row.cells[2]!.children as unknown as [Element, Element, Element];
    mark.textContent = `${MARKS[run.state] ?? ""} `;
    why.textContent = run.why ?? run.warnings?.[0] ?? "";
    return row;
  };
  const newRow = (run: WireRun): HTMLTableRowElement => {
    const box = h("input", {
      type: "checkbox",
      "aria-label": `compare ${run.name}`,
      change: () => pick(run.key, box.checked),
    });
    return h(
      "tr",
      {},
      h("td", { class: "pick" }, box),
      ...columns.map(({ kind }) => {
        if (kind === "name") return h("th", { scope: "row", class: kind }, h("a", { href: `#/run/${run.key}` }));
        if (kind !== "state") return h("td", { class: kind });
        const mark = h("span", { "aria-hidden": "true" });
        return h("td", { class: kind }, mark, h("span", { class: "word" }), h("span", { class: "why" }));
      }),
    );
  };
  const pick = (key: string, on: boolean): void => {
    if (on) picked.add(key);
    else picked.delete(key);
    const two = picked.size === 2;
    compare.textContent = two ? "compare these two" : `compare two (${picked.size} chosen)`;
    compare.setAttribute("aria-disabled", String(!two));
    if (two) compare.setAttribute("href", `#/compare/${[...picked].join("/")}`);
    else compare.removeAttribute("href");
  };
  const sortBy = (key: SortKey): void => {
    // the best first, then the other way round
    const best = key.startsWith("metric:") && better.get(key.slice("metric:".length)) === "higher";
    down = key === by ? !down : best || key === "changed" || key === "step";
    by = key;
    show();
  };
  const matches = (run: WireRun): boolean => {
    if (state.value !== "" && run.state !== state.value) return false;
    const text =
      `${run.name} ${run.config ?? ""} ${run.task ?? ""} ${run.method ?? ""} ${run.study ?? ""} ${run.store}`.toLowerCase();
    return search.value
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word));
  };
  const show = (): void => {
    heads.forEach((cell, c) => {
      const mine = columns[c]!.key === by;
      if (mine) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    const shown = sorted([...known.runs.values()].filter(matches), by, down);
    const wanted = shown.map(({ key }) => rows.get(key) ?? rowOf(known.runs.get(key)!));
    const same = wanted.length === body.rows.length && wanted.every((row, i) => body.rows[i] === row);
    if (!same) {
      // moving rows takes the focus away from what is in them
      const focused = document.activeElement;
      body.replaceChildren(...wanted);
      if (focused instanceof HTMLElement && body.contains(focused)) focused.focus({ preventScroll: true });
    }
    const total = known.runs.size;
    const words =
      total === 0
        ? "No runs yet; they appear here when they begin."
        : wanted.length === total
          ? `${total} runs`
          : `${wanted.length} of ${total} runs`;
    if (count.textContent !== words) count.textContent = words;
  };
  search.addEventListener("input", show);
  state.addEventListener("change", show);

  for (const run of known.runs.values()) rowOf(run);
  pick("", false);
  show();
  const stop = follow(known, [], {
    connected,
    runs(changed) {
      if (hasNewMetric(known, changed)) return again();
      for (const key of changed) {
        const run = known.runs.get(key);
        if (run === undefined) rows.delete(key);
        else rowOf(run);
      }
      show();
    },
  });
  return { title: "runs", element, end: stop };
}
