// A surface: the DEM's heights, the triangles that draw it, and where a ray meets it.
// Scene coordinates are metres: x to the right of the raster, y to its top, z up from the middle of the heights.
class Surface {
  /** The surface whose packed parts are in the page under its number. */
  static async read(scene, number) {
    const text = (part) => document.getElementById(`surface-${number}-${part}`)?.textContent;
    const { columns, rows } = scene;
    const known = text("known");
    const [heights, flags, vertices, vertexHeights, triangles] = await Promise.all([
      Codec.integers(text("heights"), columns),
      known ? Codec.flags(known, columns * rows) : null,
      Codec.integers(text("vertices")),
      Codec.integers(text("vertex-heights")),
      Codec.integers(text("triangles"), 3),
    ]);
    return new Surface(scene, scene.surfaces[number], heights, flags, vertices, vertexHeights, triangles);
  }

  constructor(scene, facts, heights, known, vertices, vertexHeights, triangles) {
    Object.assign(this, scene.grid, { facts, heights, known, vertices, vertexHeights, triangles });
    this.columns = scene.columns;
    this.rows = scene.rows;
    [this.across, this.down] = scene.cell;
    this.metres = scene.metres[scene.surfaces.indexOf(facts)] * scene.step;
    this.step = scene.step;
    this.middle = (facts.lowest + facts.highest) / 2 / scene.step;
    this.low = (facts.lowest / scene.step - this.middle) * this.metres;
    this.high = (facts.highest / scene.step - this.middle) * this.metres;
  }

  x(column) { return (column - (this.columns - 1) / 2) * this.across; }
  y(row) { return ((this.rows - 1) / 2 - row) * this.down; }
  column(x) { return x / this.across + (this.columns - 1) / 2; }
  row(y) { return (this.rows - 1) / 2 - y / this.down; }

  isKnown(column, row) { return !this.known || this.known[row * this.columns + column] > 0; }

  /** The DEM's height of a pixel in its own unit, null where it is unknown. */
  height(column, row) {
    const inside = column >= 0 && row >= 0 && column < this.columns && row < this.rows;
    return inside && this.isKnown(column, row) ? this.heights[row * this.columns + column] * this.step : null;
  }

  /** z of a pixel's middle. */
  z(column, row) { return (this.heights[row * this.columns + column] - this.middle) * this.metres; }

  /** z between the middles of pixels, by bilinear interpolation. */
  zBetween(column, row) {
    const left = Math.min(Math.max(Math.floor(column), 0), this.columns - 2);
    const top = Math.min(Math.max(Math.floor(row), 0), this.rows - 2);
    const right = column - left, below = row - top;
    return (this.z(left, top) * (1 - right) + this.z(left + 1, top) * right) * (1 - below)
      + (this.z(left, top + 1) * (1 - right) + this.z(left + 1, top + 1) * right) * below;
  }

  /** Rise to the right at a pixel, from its known neighbours. */
  rise(column, row) {
    const i = row * this.columns + column, { heights, known } = this;
    const west = column > 0 && (!known || known[i - 1]) ? i - 1 : i;
    const east = column < this.columns - 1 && (!known || known[i + 1]) ? i + 1 : i;
    return east > west ? ((heights[east] - heights[west]) * this.metres) / ((east - west) * this.across) : 0;
  }

  /** Rise to the top at a pixel, from its known neighbours. */
  climb(column, row) {
    const i = row * this.columns + column, { heights, known, columns } = this;
    const north = row > 0 && (!known || known[i - columns]) ? i - columns : i;
    const south = row < this.rows - 1 && (!known || known[i + columns]) ? i + columns : i;
    return south > north ? ((heights[north] - heights[south]) * this.metres * columns) / ((south - north) * this.down) : 0;
  }

  /** Slopes of all pixels as half floats, right and up in turn. */
  slopes() {
    const { columns, rows } = this, count = columns * rows * 2;
    const hasHalf = typeof Float16Array === "function";
    const values = hasHalf ? new Float16Array(count) : new Uint16Array(count);
    const steepest = 60000;
    const half = (slope) => {
      const value = Math.min(Math.max(slope, -steepest), steepest);
      return hasHalf ? value : THREE.DataUtils.toHalfFloat(value);
    };
    for (let row = 0, i = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, i += 2) {
        values[i] = half(this.rise(column, row));
        values[i + 1] = half(this.climb(column, row));
      }
    }
    return new Uint16Array(values.buffer);
  }

  /** Places of the triangles' corners, three numbers each. */
  positions() {
    const values = new Float32Array(this.vertices.length * 3);
    this.vertices.forEach((place, i) => {
      values[3 * i] = this.x(place % this.columns);
      values[3 * i + 1] = this.y(Math.floor(place / this.columns));
      values[3 * i + 2] = (this.vertexHeights[i] - this.middle) * this.metres;
    });
    return values;
  }

  /** The pixel that a ray meets first, null if none; the heights are drawn `exaggeration` times as large. */
  hit(origin, direction, exaggeration) {
    const stretch = (this.high - this.low) * 0.01 + 1e-3;
    const lowest = [this.x(0), this.y(this.rows - 1), (this.low - stretch) * exaggeration];
    const highest = [this.x(this.columns - 1), this.y(0), (this.high + stretch) * exaggeration];
    let [from, to] = [0, Infinity];
    const start = origin.toArray(), way = direction.toArray();
    for (let axis = 0; axis < 3; axis++) {
      const first = (lowest[axis] - start[axis]) / way[axis], last = (highest[axis] - start[axis]) / way[axis];
      from = Math.max(from, Math.min(first, last));
      to = Math.min(to, Math.max(first, last));
    }
    if (!(from < to)) return null;
    const place = (t) => [this.column(start[0] + t * way[0]), this.row(start[1] + t * way[1])];
    const above = (t) => start[2] + t * way[2] - this.zBetween(...place(t)) * exaggeration;
    const [c0, r0] = place(from), [c1, r1] = place(to);
    const steps = Math.ceil(2 * Math.max(Math.abs(c1 - c0), Math.abs(r1 - r0))) + 8;
    let before = from, wasAbove = above(from) > 0;
    for (let i = 1; i <= steps; i++) {
      const t = from + ((to - from) * i) / steps;
      const isAbove = above(t) > 0;
      if (isAbove !== wasAbove) {
        const pixel = this.pixelAt(before, t, wasAbove, above, place);
        if (this.isKnown(...pixel)) return pixel;
      }
      [before, wasAbove] = [t, isAbove];
    }
    return null;
  }

  /** The pixel where a ray goes through the surface between two of its places. */
  pixelAt(first, last, isAbove, above, place) {
    for (let i = 0; i < 30; i++) {
      const t = (first + last) / 2;
      if (above(t) > 0 === isAbove) first = t;
      else last = t;
    }
    const [column, row] = place((first + last) / 2);
    const within = (value, count) => Math.min(Math.max(Math.round(value), 0), count - 1);
    return [within(column, this.columns), within(row, this.rows)];
  }
}
