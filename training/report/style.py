"""The look of the report: light and dark, from a phone's width up, and on paper."""

from __future__ import annotations

# Colours are written out and nothing rests on grids: the browser inside QGIS 3 knows neither CSS variables
# nor those.
STYLE = """
:root { color-scheme: light dark; }
body { background: #ffffff; color: #1b1f24; font: 15px/1.5 "Segoe UI", system-ui, sans-serif;
  max-width: 76rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
p, li { max-width: 46rem; }
.verdict { background: #eef3f8; border-radius: 6px; padding: .25rem 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #d0d7de; padding: .35rem .9rem .35rem 0; text-align: left;
  vertical-align: top; }
th { color: #57606a; font-weight: 600; }
tr.used td { font-weight: 600; }
figure { margin: 0 1.5rem 1.5rem 0; }
figcaption { font-weight: 600; margin-bottom: .3rem; }
.charts figure { display: inline-block; vertical-align: top; width: 360px; max-width: 100%; }
.charts figure.tiles { width: 560px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: #57606a; font-size: 12px; }
svg path { fill: none; }
.grid { stroke: #d0d7de; }
.axis { stroke: #57606a; }
.best { stroke: #57606a; stroke-dasharray: 2 3; }
path.training { stroke: #1f5fa8; stroke-width: 2; }
path.validation { stroke: #b3450b; stroke-width: 2; stroke-dasharray: 7 3; }
.dot.training { fill: #1f5fa8; }
.dot.validation { fill: #b3450b; }
.key { font-weight: 400; margin-left: .6rem; padding-bottom: 1px; }
.key.training { color: #1f5fa8; border-bottom: 2px solid #1f5fa8; }
.key.validation { color: #b3450b; border-bottom: 2px dashed #b3450b; }
img { max-width: 100%; height: auto; border-radius: 6px; display: block; }
summary { cursor: pointer; }
@media (prefers-color-scheme: dark) {
  body { background: #14181d; color: #e6edf3; }
  .verdict { background: #1e2a36; }
  th { color: #9aa5b1; }
  th, td { border-color: #3a424c; }
  svg text { fill: #b1bac4; }
  .grid { stroke: #2f363d; }
  .axis, .best { stroke: #9aa5b1; }
  path.training { stroke: #6cb2ff; }
  path.validation { stroke: #ffa36b; }
  .dot.training { fill: #6cb2ff; }
  .dot.validation { fill: #ffa36b; }
  .key.training { color: #6cb2ff; border-color: #6cb2ff; }
  .key.validation { color: #ffa36b; border-color: #ffa36b; }
}
@media (prefers-reduced-motion: reduce) { .animation { display: none !important; } }
@media print {
  body { background: #ffffff; color: #000000; font-size: 11px; margin: 0; max-width: none; }
  .animation { display: none !important; }
  .wide { overflow: visible; }
  table { font-size: 9px; }
  figure, tr { page-break-inside: avoid; }
}
"""
