"""The look of the report: light and dark, from a phone's width up, and on paper."""

from __future__ import annotations

# Colours are written out and nothing rests on grids: the browser inside QGIS 3 knows neither CSS variables
# nor those.
STYLE = """
:root { color-scheme: light dark; }
body { background: #ffffff; color: #1b1f24; font: 15px/1.5 "Segoe UI", system-ui, sans-serif;
  max-width: 74rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p, li { max-width: 46rem; }
.under { color: #57606a; margin-top: 0; overflow-wrap: anywhere; }
.verdict { background: #eef3f8; border-radius: 6px; padding: .25rem 1rem; max-width: 48rem; }
.verdict p { font-size: 1.05rem; }
.notes { background: #fff4d6; color: #4a3200; border-radius: 6px; padding: .25rem 1rem; max-width: 48rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #d0d7de; padding: .35rem .9rem .35rem 0; text-align: left;
  vertical-align: top; }
th { color: #57606a; font-weight: 600; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tr.used td { font-weight: 600; }
td.any { overflow-wrap: anywhere; }
.numbers td:first-child { min-width: 7.5rem; }
figure { display: inline-block; vertical-align: top; margin: 0 1.25rem 1.5rem 0; width: 360px;
  max-width: 100%; }
figure.chart { width: 520px; }
figcaption { font-weight: 600; margin-bottom: .35rem; }
figcaption span { font-weight: 400; color: #57606a; }
figcaption .note { display: block; }
img { display: block; width: 100%; height: auto; background: #e4e8ec; border-radius: 4px;
  image-rendering: auto; }
svg { display: block; width: 100%; height: auto; }
svg.key { max-width: 360px; margin-top: .4rem; }
svg text { fill: #57606a; font-size: 12px; }
svg path { fill: none; }
.grid { stroke: #dfe4e9; }
.zero { stroke: #57606a; stroke-dasharray: 3 3; }
.bar { fill: #9db8d6; }
.line { stroke-width: 2; }
.normal, .reference { stroke: #b3450b; }
.robust, .dem { stroke: #1f5fa8; }
.normal { stroke-dasharray: 7 3; }
.median { stroke: #1b3f6b; stroke-width: 2.5; }
svg path.rmse { fill: #b3450b; }
.dot { fill: #1f5fa8; fill-opacity: .55; }
.mark { font-weight: 400; margin-left: .5rem; padding-bottom: 1px; white-space: nowrap; }
figcaption .blue { color: #1f5fa8; border-bottom: 2px solid #1f5fa8; }
figcaption .brown { color: #b3450b; border-bottom: 2px solid #b3450b; }
figcaption .dashed { border-bottom-style: dashed; }
@media (max-width: 600px) {
  th, td { padding-right: .6rem; }
  .chart svg text { font-size: 15px; }
}
@media (prefers-color-scheme: dark) {
  body { background: #14181d; color: #e6edf3; }
  .verdict { background: #1e2a36; }
  .notes { background: #3a2f12; color: #ffe4a3; }
  .under, th, figcaption span { color: #9aa5b1; }
  th, td { border-color: #3a424c; }
  img { background: #262d35; }
  svg text { fill: #b1bac4; }
  .grid { stroke: #2f363d; }
  .zero { stroke: #b1bac4; }
  .bar { fill: #3f5f82; }
  .normal, .reference { stroke: #ffa36b; }
  .robust, .dem { stroke: #6cb2ff; }
  .median { stroke: #cfe4ff; }
  svg path.rmse { fill: #ffa36b; }
  .dot { fill: #6cb2ff; }
  figcaption .blue { color: #6cb2ff; border-color: #6cb2ff; }
  figcaption .brown { color: #ffa36b; border-color: #ffa36b; }
}
@media print {
  body { background: #ffffff; color: #000000; font-size: 11px; margin: 0; max-width: none; }
  .verdict, .notes { background: #ffffff; color: #000000; border: 1px solid #57606a; }
  .wide { overflow: visible; }
  table { font-size: 9.5px; }
  figure { width: 46%; }
  figure.chart { width: 48%; margin-right: 1%; }
  figure, tr { page-break-inside: avoid; }
  h2 { page-break-after: avoid; }
}
"""
