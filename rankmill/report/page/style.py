"""The style sheet of the page: light or dark as the reader's system is, one column of text, panels
that stack on a narrow screen."""

CSS = """
:root { color-scheme: light dark; --paper:#ffffff; --ink:#1f2430; --soft:#5b6270; --line:#e1e5eb;
  --rule:#b6bcc8; --grid:#e4e7ec; --pale:#f6f7f9; --accent:#0072B2; --more:#00694d; --less:#a34400;
  --sans: "Inter", system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
          "Liberation Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 var(--sans); }
main { max-width: 1040px; margin: 0 auto; padding: 48px 24px 96px; }
header { border-bottom: 1px solid var(--line); padding-bottom: 28px; margin-bottom: 8px; }
h1 { font-size: 34px; line-height: 1.2; letter-spacing: -0.018em; margin: 0 0 14px; }
h2 { font-size: 22px; letter-spacing: -0.01em; line-height: 1.3; margin: 56px 0 6px; }
section > h3 { font-size: 16px; line-height: 1.35; margin: 28px 0 4px; }
p { margin: 0 0 12px; max-width: 68ch; }
p.lead { font-size: 18px; line-height: 1.5; }
p.say { color: var(--soft); margin-bottom: 16px; }
nav { margin-top: 18px; font-size: 14px; line-height: 2; }
nav a { color: var(--accent); text-decoration: none; margin-right: 18px; white-space: nowrap; }
nav a:hover { text-decoration: underline; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 16px;
  margin: 24px 0 4px; }
.facts div { background: var(--pale); border-radius: 10px; padding: 16px 18px; }
.facts b { display: block; font-size: 28px; line-height: 1.15; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; }
.facts span { display: block; margin-top: 6px; color: var(--soft); font-size: 14px;
  line-height: 1.4; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 14px; font-size: 14px; }
.legend span { display: inline-flex; align-items: center; gap: 8px; }
.legend svg { width: 26px; height: 10px; flex: none; }
.panels { display: grid; gap: 28px 36px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 290px), 1fr)); }
figure { margin: 0; min-width: 0; }
figure h3 { font-size: 15px; font-weight: 600; margin: 0 0 6px; }
figure svg { display: block; width: 100%; height: auto; max-width: 560px; overflow: visible; }
figure svg text { font-family: var(--sans); font-variant-numeric: tabular-nums; }
figure svg * { stroke-linejoin: round; }
figcaption { color: var(--soft); font-size: 13px; line-height: 1.45; margin-top: 6px; }
.wide { overflow-x: auto; margin: 0 -24px 20px; padding: 0 24px;
  -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; width: 100%; font-size: 14px; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
th, td { padding: 8px 12px; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 500; font-size: 13px; vertical-align: bottom;
  border-bottom: 1px solid var(--rule); }
tbody th { font-weight: 500; min-width: 11em; } tbody th + th { min-width: 0; }
.panels + .say { margin-top: 20px; }
th:first-child { padding-left: 0; } td:last-child, th:last-child { padding-right: 0; }
th.number { text-align: right; } td.number { text-align: right; white-space: nowrap; }
caption { text-align: left; font-size: 15px; font-weight: 600; padding: 20px 0 2px; }
td small, th small { display: block; color: var(--soft); font-size: 12px; font-weight: 400; }
td small.gain { color: var(--more); } td small.loss { color: var(--less); }
tr.sum td, tr.sum th { border-bottom: 0; font-weight: 600; }
td.bar { min-width: 92px; }
td.bar i { display: block; height: 5px; margin: 4px 0 1px auto; border-radius: 2px;
  background: var(--accent); opacity: .75; }
code, .code { font: 13px/1.45 var(--mono); overflow-wrap: anywhere; }
td.made { min-width: 22em; }
.hash { white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 24px; font-size: 14px;
  margin: 12px 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
ul { padding-left: 20px; max-width: 68ch; } li { margin-bottom: 6px; }
.chip { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 8px; }
.answer { align-items: start; margin-top: 18px; }
.answer ol { margin: 0 0 12px; padding-left: 22px; max-width: 68ch; }
.answer ol li { font-size: 17px; line-height: 1.5; margin-bottom: 10px; }
.caveats { color: var(--soft); font-size: 13.5px; line-height: 1.45; }
.caveats li { margin-bottom: 4px; }
.marks svg { width: 12px; height: 12px; }
pre { font: 13px/1.45 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--pale); border-radius: 10px; padding: 16px 18px; margin: 12px 0; }
thead button { font: inherit; color: inherit; background: none; border: 0; padding: 0; margin: 0;
  text-align: inherit; cursor: pointer; }
thead button:hover, thead button:focus-visible { color: var(--accent); text-decoration: underline; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
footer { margin-top: 64px; padding-top: 16px; border-top: 1px solid var(--line);
  color: var(--soft); font-size: 13px; }
@media (max-width: 640px) {
  main { padding: 28px 18px 64px; }
  h1 { font-size: 27px; } h2 { font-size: 20px; margin-top: 44px; }
  .facts { grid-template-columns: 1fr 1fr; gap: 10px; } .facts b { font-size: 23px; }
  .facts div { padding: 12px 14px; }
  .wide { margin: 0 -18px 18px; padding: 0 18px; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 10px; }
}
@media (prefers-color-scheme: dark) {
  :root { --paper:#14171f; --ink:#e8eaf0; --soft:#a9b0bf; --line:#2b3140; --rule:#5a6376;
    --grid:#2b3140; --pale:#1d222d; --accent:#56B4E9; --more:#4fc3a0; --less:#e9a06a; }
  figure svg:not(.adapts) { background: #fff; border-radius: 10px; }
}
@media print {
  :root { --paper:#ffffff; --ink:#1f2430; --soft:#5b6270; --line:#e1e5eb; --rule:#b6bcc8;
    --grid:#e4e7ec; --pale:#f6f7f9; --accent:#0072B2; --more:#00694d; --less:#a34400; }
  main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; } nav { display: none; }
  .wide { overflow: visible; margin: 0 0 16px; padding: 0; }
  table { font-size: 10px; } th, td { padding: 4px 6px; } tbody th, td.made { min-width: 0; }
  td.number { white-space: normal; } thead th, td small, th small { font-size: 9px; }
}
"""
