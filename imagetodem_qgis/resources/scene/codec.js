// Turns what imagetodem_qgis/scene/packing.py has packed into arrays again.
const Codec = (() => {
  "use strict";

  function fromBase64(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const binary = atob(text), packed = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) packed[i] = binary.charCodeAt(i);
    return packed;
  }

  /** The bytes of a packed text: base 64 of a zlib stream. */
  async function bytes(text) {
    const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Whole numbers, row by row; a list is a single row. */
  async function integers(text, columns) {
    const planes = await bytes(text);
    const count = planes.length / 4;
    const values = new Int32Array(count);
    const width = columns ?? count;
    for (let i = 0; i < count; i++) {
      const folded = planes[i] | (planes[count + i] << 8) | (planes[2 * count + i] << 16) | (planes[3 * count + i] << 24);
      const distance = (folded >>> 1) ^ -(folded & 1);
      const column = i % width;
      // Sums modulo 2³², as the distances were taken.
      const left = column > 0 ? values[i - 1] : 0;
      const above = i >= width ? values[i - width] : 0;
      const corner = column > 0 && i >= width ? values[i - width - 1] : 0;
      values[i] = distance + left + above - corner;
    }
    return values;
  }

  /** Yes and no, a byte each, 255 for yes. */
  async function flags(text, count) {
    const packed = await bytes(text);
    const values = new Uint8Array(count);
    for (let i = 0; i < count; i++) values[i] = packed[i >> 3] & (128 >> (i & 7)) ? 255 : 0;
    return values;
  }

  return { integers, flags };
})();
