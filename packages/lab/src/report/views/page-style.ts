/** The page's style sheet; colours are those of `lowrank serve`. */
import { DARK, LIGHT } from "../../serve/style.ts";

/** Said once for a table, by the class that its columns of numbers give it: a report has thousands of numbers. @param column from 1 on */
export function ofNumbers(column: number): string {
  return `n${column}`;
}

/** @param columns of numbers, from 1 on, that any table has */
export function pageStyle(columns: Iterable<number>): string {
  const which = [...columns].sort((a, b) => a - b);
  const numbers = (cell: string): string =>
    `:is(${which.map((column) => `.${ofNumbers(column)} ${cell}:nth-child(${column})`).join(", ")})`;
  return `
:root { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { :root { ${DARK} } }
* { box-sizing: border-box; }
html { font: 16px/1.55 system-ui, sans-serif; background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%; }
body { margin: 0; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 2.6rem 0 .8rem; padding-top: .6rem; border-top: 1px solid var(--edge); overflow-wrap: anywhere; }
h3 { font-size: 1.1rem; line-height: 1.35; margin: 2.2rem 0 .5rem; overflow-wrap: anywhere; }
p { margin: .6rem 0; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.lead { font-size: 1.12rem; }
.note, figcaption { color: var(--quiet); font-size: .92rem; }
.alarm { border-left: 4px solid var(--bad); background: var(--raised); padding: .5rem .8rem; }
.verdicts { list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: .7rem; }
.verdicts li { border: 1px solid var(--edge); border-left: 6px solid var(--quiet); border-radius: 8px; padding: .6rem .9rem; background: var(--raised); break-inside: avoid; }
.verdicts p { margin: .15rem 0; }
.says { font-size: 1.08rem; }
.says a { color: inherit; }
.verdict { display: inline-block; margin-right: .4rem; }
.verdicts .supported { border-left-color: var(--good); border-left-style: solid; }
.verdicts .contradicted { border-left-color: var(--bad); border-left-style: double; }
.verdicts .not-decidable { border-left-style: dotted; }
.supported .verdict { color: var(--good); }
.contradicted .verdict { color: var(--bad); }
.not-decidable .verdict { color: var(--quiet); }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; margin: .6rem 0; }
th, td { text-align: left; font-weight: inherit; padding: .3rem .65rem; border-bottom: 1px solid var(--edge); vertical-align: top; }
td:not(.whole) { min-width: 8rem; }
.whole { white-space: nowrap; }
${numbers("td")} { min-width: 0; white-space: nowrap; }
${numbers("tr > ")} { text-align: right; }
thead th { color: var(--quiet); font-weight: 600; background: var(--raised); vertical-align: bottom; }
tbody th { font-weight: 600; }
figure { margin: 1.2rem 0; break-inside: avoid; }
figcaption { margin-bottom: .4rem; max-width: 46rem; overflow-wrap: anywhere; }
figcaption strong { color: var(--ink); }
.table { break-inside: auto; }
img { display: block; width: 100%; height: auto; }
.many { display: flex; flex-wrap: wrap; gap: 1rem; }
.many .scroll { break-inside: avoid; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; max-width: 46rem; }
dt { font-weight: 600; }
dd { margin: 0; }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--accent); padding: .3rem 0; }
nav ol { list-style: none; padding: 0; }
nav .level-3 { padding-left: 1.2rem; }
@media (max-width: 40rem) {
  main { padding: 1rem .9rem 3rem; }
  h1 { font-size: 1.5rem; }
  th, td { padding: .3rem .45rem; }
}
@media print {
  @page { margin: 14mm; }
  html { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  h2, h3, summary { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .scroll { overflow: visible; }
  table { font-size: 7.6pt; }
  th, td { padding: 1.5pt 3pt; }
  td { overflow-wrap: anywhere; }
  ${numbers("td")} { white-space: normal; }
  td:not(.whole) { min-width: 0; }
  tr { break-inside: avoid; }
  img { min-width: 0 !important; }
  nav { display: none; }
}
`;
}
