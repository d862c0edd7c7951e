/** The page's style sheet. Lines have Okabe and Ito's colours and dashes, shades one hue from light to dark: told apart with any kind of colour vision. */

export const LIGHT: string = `
  --paper: #ffffff; --raised: #f5f6f8; --ink: #1b1f24; --quiet: #57606a; --edge: #d0d7de; --accent: #005a9e; --on-accent: #ffffff;
  --good: #00664a; --bad: #a63603; --busy: #005a9e;
  --line-0: #0072b2; --line-1: #d55e00; --line-2: #009e73;
  --shade-0: #f0f2f5; --shade-1: #d8e5f3; --shade-2: #bcd3ea; --shade-3: #9bbfe0; --shade-4: #74a7d3; --shade-5: #4d8cc2; --shade-6: #2f70ad; --shade-7: #185491; --shade-8: #083a72;`;
export const DARK: string = `
  --paper: #14171c; --raised: #1d222a; --ink: #e7ebf0; --quiet: #a3adba; --edge: #39424e; --accent: #7cc4ff; --on-accent: #0b1a28;
  --good: #4fd0a5; --bad: #ff9b6a; --busy: #7cc4ff;
  --line-0: #56b4e9; --line-1: #e69f00; --line-2: #2fc79c;
  --shade-0: #20252d; --shade-1: #0d3158; --shade-2: #154577; --shade-3: #215b97; --shade-4: #3373b3; --shade-5: #4d8dca; --shade-6: #6fa9dc; --shade-7: #98c6ec; --shade-8: #c9e4fa;`;

const SHADES = Array.from({ length: 9 }, (_, i) => `.shade-${i} { fill: var(--shade-${i}); }`).join("\n");
const LINES = [0, 1, 2]
  .map((i) => `.line-${i} { stroke: var(--line-${i}); } .dot-${i} { fill: var(--line-${i}); }`)
  .join("\n");

export const STYLE: string = `
:root { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { :root { ${DARK} } }
* { box-sizing: border-box; }
html { font: 15px/1.5 system-ui, sans-serif; background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%; }
body { margin: 0; }
header { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: .6rem 1.25rem; border-bottom: 1px solid var(--edge); background: var(--raised); }
header p { margin: 0; color: var(--quiet); }
#live::before { content: "○ "; }
#live.on::before { content: "● "; color: var(--good); }
#live.off { color: var(--bad); }
.home { font-weight: 650; font-size: 1.1rem; color: var(--ink); text-decoration: none; }
main { max-width: 84rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; outline: none; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .4rem 0 .8rem; overflow-wrap: anywhere; outline: none; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
h3 { font-size: 1rem; overflow-wrap: anywhere; }
p { margin: .4rem 0; }
a { color: var(--accent); }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: .5rem; top: .5rem; background: var(--paper); padding: .5rem; z-index: 1; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.tools { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .75rem; margin-bottom: .4rem; }
.field { display: inline-flex; align-items: center; gap: .5rem; min-width: 0; }
.grows { flex: 1 1 14rem; max-width: 26rem; }
.tools label { color: var(--quiet); }
input[type="search"], select, .button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--edge); border-radius: 6px; padding: .35rem .6rem; min-height: 2.3rem; }
input[type="search"] { flex: 1 1 12rem; max-width: 24rem; min-width: 0; }
input::placeholder { color: var(--quiet); opacity: 1; }
.button { text-decoration: none; display: inline-flex; align-items: center; }
.button[href] { background: var(--accent); color: var(--on-accent); border-color: var(--accent); }
.button[aria-disabled="true"] { color: var(--quiet); }
.count, .note { color: var(--quiet); }
input[type="checkbox"] { width: 1.1rem; height: 1.1rem; accent-color: var(--accent); }

.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.runs { width: 100%; }
.runs thead th { white-space: nowrap; }
th, td { text-align: left; font-weight: inherit; padding: .3rem .7rem; border-bottom: 1px solid var(--edge); vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; overflow-wrap: anywhere; background: var(--raised); }
tbody th { overflow-wrap: anywhere; min-width: 8.5rem; }
.why { word-break: normal; }
tbody tr:hover { background: var(--raised); }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: .2rem 0; margin: 0; cursor: pointer; min-height: 1.8rem; }
th button::after { content: " ↕"; opacity: .55; }
th[aria-sort="ascending"] button::after { content: " ↑"; opacity: 1; }
th[aria-sort="descending"] button::after { content: " ↓"; opacity: 1; }
th[aria-sort] { color: var(--ink); }
.num { text-align: right; }
td.num { white-space: nowrap; }
.code { font-family: ui-monospace, monospace; font-size: .87rem; overflow-wrap: anywhere; white-space: pre-wrap; }
.pick { width: 2.2rem; padding-right: 0; }
.state { white-space: nowrap; }
td.state .why { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; max-width: 24rem; white-space: normal; }
.why { color: var(--quiet); font-size: .87rem; overflow-wrap: anywhere; }
.is-finished > .state, .state.is-finished strong { color: var(--good); }
.is-failed > .state, .is-damaged > .state, .state.is-failed strong, .state.is-damaged strong { color: var(--bad); }
.is-working > .state, .state.is-working strong { color: var(--busy); }
p.state { white-space: normal; }

.alarm { border-left: 4px solid var(--bad); background: var(--raised); padding: .5rem .8rem; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.facts div { border: 1px solid var(--edge); border-radius: 8px; padding: .5rem .75rem; min-width: 0; }
.facts dt { color: var(--quiet); font-size: .87rem; }
.facts dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
figure { margin: 0; border: 1px solid var(--edge); border-radius: 8px; padding: .6rem .75rem; min-width: 0; }
figure[hidden] { display: none; }
figcaption { font-weight: 600; }
.chart { display: block; width: 100%; height: auto; touch-action: pan-y; }
.chart text, .heat text { font: 11px system-ui, sans-serif; fill: var(--quiet); }
.rule { stroke: var(--edge); stroke-width: 1; }
.cursor { stroke: var(--quiet); stroke-dasharray: 2 3; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.faint { stroke-opacity: .3; stroke-width: 1; stroke-dasharray: none !important; }
.line-1 { stroke-dasharray: 6 3; }
.line-2 { stroke-dasharray: 2 3; }
${LINES}
.key, .readout { margin: 0; color: var(--quiet); font-size: .87rem; overflow-wrap: anywhere; }
.key span { margin-right: .8rem; }
.swatch { width: 24px; height: 8px; vertical-align: middle; }
.heat { display: block; width: 100%; min-width: 44rem; max-width: 64rem; height: auto; }
.legend { color: var(--quiet); }
.shades { width: 8rem; height: 12px; vertical-align: middle; border: 1px solid var(--edge); }
${SHADES}
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--accent); padding: .3rem 0; }
.proofs { list-style: none; padding: 0; }
.proofs li { padding: .25rem 0; overflow-wrap: anywhere; }
.holds strong { color: var(--good); }
.fails strong, .differs { color: var(--bad); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.5rem; }

@media (min-width: 60rem) { .runs .name { min-width: 14rem; } }
@media (max-width: 60rem) { .runs .wide { display: none; } }
@media (max-width: 40rem) {
  .runs .middle { display: none; }
  th, td { padding: .4rem .4rem; }
  main { padding: .6rem .8rem 3rem; }
  header { padding: .6rem .8rem; }
  td.state .why { display: none; }
  td.state .word { position: absolute; clip-path: inset(50%); width: 1px; overflow: hidden; }
  .runs th button::after { display: none; }
  .runs th[aria-sort] button::after { display: inline; }
  .runs { font-size: .93rem; }
  .runs .pick { padding-left: 0; }
  .runs tbody td { white-space: nowrap; }
}
@media (prefers-reduced-motion: no-preference) {
  .is-working > td.state { animation: breathe 2.4s ease-in-out infinite; }
  @keyframes breathe { 50% { opacity: .65; } }
}
@media (forced-colors: active) { .line { stroke: CanvasText; } }
`;
