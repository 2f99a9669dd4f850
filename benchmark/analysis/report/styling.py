"""The report's style: light and dark, wide, narrow and printed."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2430; --quiet: #5d6675; --line: #e4e7ec;
  --soft: #f7f8fa; --accent: #0062a0; --bad: #b42318; --warn: #93560b; --warn-soft: #fff6e5; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171d; --ink: #e6e9ef; --quiet: #a3abba;
  --line: #2b313c; --soft: #1b1f27; --accent: #6cc0f0; --bad: #f97066; --warn: #f5b95c;
  --warn-soft: #2c2415; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.2rem; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; overflow-wrap: break-word; }
main { max-width: 76rem; margin: 0 auto; padding: 1.6rem 1.25rem 4rem; }
nav { position: sticky; top: 0; z-index: 2; background: var(--paper); white-space: nowrap;
  border-bottom: 1px solid var(--line); overflow-x: auto; }
nav div { max-width: 76rem; margin: 0 auto; padding: .55rem 1.25rem; }
nav a { color: var(--accent); text-decoration: none; margin-right: 1.2rem; font-size: .92rem; }
nav a:hover, nav a:focus { text-decoration: underline; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; margin: 2.8rem 0 .5rem; } h3 { font-size: 1.04rem; margin: 1.7rem 0 .4rem; }
.answer { border-left: 4px solid var(--accent); background: var(--soft); padding: .8rem 1.1rem;
  border-radius: 0 8px 8px 0; margin-bottom: .8rem; }
.answer p { margin: .2rem 0; } .answer .first { font-size: 1.1rem; }
.flip { color: var(--warn); background: var(--warn-soft); border-radius: 4px; padding: 0 .3rem;
  font-weight: 600; }
.facts, .notes, figcaption, .size { color: var(--quiet); font-size: .9rem; }
.facts a { color: var(--accent); }
.facts span { margin-right: 1.2rem; } .facts b { font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .33rem .5rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
table.sortable th { cursor: pointer; user-select: none; }
table.sortable th:hover { color: var(--ink); }
th[aria-sort=ascending]::after { content: " \\25b4"; }
th[aria-sort=descending]::after { content: " \\25be"; }
.number { text-align: right; } td.number { white-space: nowrap; } .failure { color: var(--bad); }
td.name, td.short { white-space: nowrap; }
td.long { white-space: normal; min-width: 15rem; overflow-wrap: anywhere; }
tbody tr:hover { background: var(--soft); }
td.message { overflow-wrap: anywhere; min-width: 16rem; } td.log { overflow-wrap: anywhere; }
.leader td { font-weight: 650; }
.controls { display: flex; flex-wrap: wrap; gap: .6rem; margin: .5rem 0; align-items: center;
  font-size: .9rem; color: var(--quiet); }
input, select, button { font: inherit; color: var(--ink); background: var(--paper);
  border: 1px solid var(--line); border-radius: 6px; padding: .28rem .55rem; max-width: 100%; }
input[type=search] { min-width: 13rem; flex: 0 1 20rem; }
button { cursor: pointer; } button:disabled { opacity: .4; cursor: default; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
figure { margin: 1rem 0 1.6rem; }
figure img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 10px; padding: .5rem; display: block; }
figcaption { margin-top: .4rem; max-width: 46rem; }
summary { cursor: pointer; color: var(--accent); padding: .4rem 0; }
.columns { columns: 2 20rem; }
@media (max-width: 640px) { body { font-size: 15px; } main { padding: 1.1rem .9rem 3rem; }
  nav div { padding: .55rem .9rem; } th, td { padding: .3rem .45rem; }
  input[type=search] { flex: 1 1 100%; } }
@media print { nav, .controls, .screen { display: none !important; }
  main { max-width: none; padding: 0; } body { font-size: 10pt; }
  .scroll { overflow: visible; } details > summary { display: none; }
  figure, tr, .answer { break-inside: avoid; } h2, h3 { break-after: avoid; }
  table { font-size: 7.5pt; } th, td { padding: .15rem .3rem; } }
"""
