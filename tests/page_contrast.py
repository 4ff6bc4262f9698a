"""How well the text of a page can be read, asked of a browser."""

from __future__ import annotations

CONTRASTS = """
(() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  for (const element of document.querySelectorAll("body, body *")) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.tagName === "title") continue;
    const style = getComputedStyle(element);
    const ink = numbers(element.tagName === "text" ? style.fill : style.color);
    const both = [light(ink), light(behind(element))].sort((a, b) => b - a);
    const kind = element.tagName + "." + (element.getAttribute("class") || "");
    found[kind] = Math.min(found[kind] || 99, (both[0] + 0.05) / (both[1] + 0.05));
  }
  return found;
})()
"""
"""Expression that gives the least contrast (WCAG 2.1) of each kind of element with text of its own."""
