// A surface as binary glTF 2.0: metres, y up, z to the south of the map's frame.
const Gltf = (() => {
  "use strict";

  const MAGIC = 0x46546c67, JSON_CHUNK = 0x4e4f534a, BINARY_CHUNK = 0x004e4942;
  const [ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, FLOAT, UNSIGNED_INT, CLAMP] = [34962, 34963, 5126, 5125, 33071];
  const [LINEAR, LINEAR_MIPMAP_LINEAR] = [9729, 9987];

  /** Normals of the triangles' corners and their places in the picture. */
  function attributes(surface) {
    const count = surface.vertices.length, source = surface.positions();
    const positions = new Float32Array(3 * count), normals = new Float32Array(3 * count), places = new Float32Array(2 * count);
    for (let i = 0; i < count; i++) {
      const column = surface.vertices[i] % surface.columns, row = Math.floor(surface.vertices[i] / surface.columns);
      const right = surface.rise(column, row), up = surface.climb(column, row), length = Math.hypot(right, up, 1);
      positions.set([source[3 * i], source[3 * i + 2], -source[3 * i + 1]], 3 * i);
      normals.set([-right / length, 1 / length, up / length], 3 * i);
      places.set([(column + 0.5) / surface.columns, (row + 0.5) / surface.rows], 2 * i);
    }
    return { positions, normals, places };
  }

  function range(values, size) {
    const least = Array(size).fill(Infinity), largest = Array(size).fill(-Infinity);
    for (let i = 0; i < values.length; i++) {
      least[i % size] = Math.min(least[i % size], values[i]);
      largest[i % size] = Math.max(largest[i % size], values[i]);
    }
    return { min: least, max: largest };
  }

  /** The file of a surface.
   *
   * @param picture PNG bytes, transparent where the surface has voids.
   * @param options name, exaggeration, isShaded (whether the picture already holds the light), extras.
   */
  function binary(surface, picture, { name, exaggeration, isShaded, extras }) {
    const { positions, normals, places } = attributes(surface);
    const parts = [positions, normals, places, Uint32Array.from(surface.triangles), picture];
    const views = [];
    let length = 0;
    for (const part of parts) {
      views.push({ buffer: 0, byteOffset: length, byteLength: part.byteLength });
      length += Math.ceil(part.byteLength / 4) * 4;
    }
    views.slice(0, 3).forEach((view) => { view.target = ARRAY_BUFFER; });
    views[3].target = ELEMENT_ARRAY_BUFFER;
    const count = surface.vertices.length;
    const unlit = isShaded ? { extensions: { KHR_materials_unlit: {} } } : {};
    const content = {
      asset: { version: "2.0", generator: "Image to DEM" },
      scene: 0,
      scenes: [{ nodes: [0] }],
      nodes: [{ mesh: 0, name, scale: [1, exaggeration, 1], extras }],
      meshes: [{ name, primitives: [{ attributes: { POSITION: 0, NORMAL: 1, TEXCOORD_0: 2 }, indices: 3, material: 0 }] }],
      materials: [{
        name,
        doubleSided: true,
        alphaMode: surface.known ? "MASK" : "OPAQUE",
        pbrMetallicRoughness: { baseColorTexture: { index: 0 }, metallicFactor: 0, roughnessFactor: 1 },
        ...unlit,
      }],
      textures: [{ source: 0, sampler: 0 }],
      images: [{ bufferView: 4, mimeType: "image/png" }],
      samplers: [{ magFilter: LINEAR, minFilter: LINEAR_MIPMAP_LINEAR, wrapS: CLAMP, wrapT: CLAMP }],
      accessors: [
        { bufferView: 0, componentType: FLOAT, count, type: "VEC3", ...range(positions, 3) },
        { bufferView: 1, componentType: FLOAT, count, type: "VEC3" },
        { bufferView: 2, componentType: FLOAT, count, type: "VEC2" },
        { bufferView: 3, componentType: UNSIGNED_INT, count: surface.triangles.length, type: "SCALAR" },
      ],
      bufferViews: views,
      buffers: [{ byteLength: length }],
      ...(isShaded ? { extensionsUsed: ["KHR_materials_unlit"] } : {}),
    };
    return assembled(content, parts, views, length);
  }

  function assembled(content, parts, views, length) {
    const text = new TextEncoder().encode(JSON.stringify(content));
    const textLength = Math.ceil(text.length / 4) * 4;
    const file = new Uint8Array(12 + 8 + textLength + 8 + length);
    const header = new DataView(file.buffer);
    [MAGIC, 2, file.length, textLength, JSON_CHUNK].forEach((value, i) => header.setUint32(4 * i, value, true));
    file.fill(0x20, 20, 20 + textLength);
    file.set(text, 20);
    header.setUint32(20 + textLength, length, true);
    header.setUint32(24 + textLength, BINARY_CHUNK, true);
    parts.forEach((part, i) => {
      file.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), 28 + textLength + views[i].byteOffset);
    });
    return file;
  }

  return { binary };
})();
