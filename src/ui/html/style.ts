/** The page's style: no file besides it, light and dark as the reader's system has it, readable when printed. */
export const style = `
:root { color-scheme: light dark;
  --text: #1b1f24; --dim: #57606a; --page: #ffffff; --card: #f6f8fa; --line: #d0d7de;
  --all: #1f4e8c; --on-all: #ffffff; --some: #7fb2e5; --on-some: #10151a; --one: #e0912f; --on-one: #10151a;
  --heat: 31, 78, 140; }
@media (prefers-color-scheme: dark) { :root {
  --text: #e6edf3; --dim: #9aa4af; --page: #0d1117; --card: #161b22; --line: #30363d;
  --all: #2f6bb8; --on-all: #ffffff; --some: #8dbcec; --one: #e39b44; --heat: 88, 150, 220; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 76rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, "Segoe UI", "Noto Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .25rem; }
p { margin: .25rem 0 .75rem; }
.dim { color: var(--dim); }
.facts { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; padding: 0; list-style: none; }
.facts li { flex: 1 1 9rem; padding: .75rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.facts b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.warning { padding: .75rem 1rem; border: 1px solid var(--one); border-left-width: .4rem; border-radius: .5rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .9rem; min-width: 100%; }
th, td { padding: .35rem .6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: middle; }
thead th { color: var(--dim); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { overflow-wrap: anywhere; min-width: 9rem; }
code { white-space: nowrap; font: .85em ui-monospace, "DejaVu Sans Mono", monospace; }
.bar { display: flex; height: 1.1rem; min-width: 8rem; border-radius: .2rem; overflow: hidden; background: var(--card); }
.bar i { display: block; height: 100%; }
.all { background: var(--all); color: var(--on-all); } .some { background: var(--some); color: var(--on-some); }
.one { background: var(--one); color: var(--on-one); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .25rem 0 .6rem; padding: 0; list-style: none; font-size: .9rem; }
.legend i { display: inline-block; width: .9rem; height: .9rem; margin-right: .4rem; border-radius: .2rem; vertical-align: -.1rem; }
.treemap { position: relative; height: 28rem; border-radius: .3rem; overflow: hidden; background: var(--card); }
.group { position: absolute; overflow: hidden; border: 1px solid var(--page); display: flex; flex-direction: column; }
.group p { flex: none; margin: 0; padding: 0 .35rem; font-size: .75rem; line-height: 1.5; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; background: var(--card); }
.tiles { position: relative; flex: 1; background: var(--card); color: inherit; }
.tile { position: absolute; overflow: hidden; padding: .2rem .35rem; border: 1px solid var(--page); font-size: .75rem; line-height: 1.3; overflow-wrap: anywhere; background: inherit; }
.tiles.all { background: var(--all); color: var(--on-all); } .tiles.some { background: var(--some); color: var(--on-some); }
.tiles.one { background: var(--one); color: var(--on-one); }
.content { white-space: nowrap; } .content i { display: inline-block; width: .7rem; height: .7rem; margin-right: .35rem; border-radius: .15rem; }
.heat td.number { min-width: 5.5rem; } .heat .same { color: var(--dim); }
details { margin: .75rem 0; } summary { cursor: pointer; color: var(--dim); }
summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--all); outline-offset: 2px; }
footer { margin-top: 3rem; font-size: .85rem; }
@media (max-width: 40rem) { body { padding: 1rem; } .treemap { height: 34rem; } }
@media print { details:not([open]) > *:not(summary) { display: block; } .treemap { break-inside: avoid; } }
`;
