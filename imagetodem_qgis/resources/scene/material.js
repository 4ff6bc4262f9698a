// How a surface is coloured and lit. The light is Lambert's on the slopes of the full grid, so that a surface of few
// triangles shows the relief of all its heights.
const Material = (() => {
  "use strict";

  const VERTEX = `
    uniform float exaggeration;
    uniform vec2 size;
    out vec2 place;
    out float height;
    void main() {
      place = position.xy / size + 0.5;
      height = position.z;
      gl_Position = projectionMatrix * modelViewMatrix * vec4(position.xy, position.z * exaggeration, 1.0);
    }`;

  const FRAGMENT = `
    precision highp float;
    in vec2 place;
    in float height;
    out vec4 colour;
    uniform sampler2D slopes, known, picture, ramp;
    uniform float exaggeration, low, high, lit;
    uniform int mode;
    uniform vec3 sun;
    void main() {
      // Row 0 of the grid's textures is the raster's top.
      vec2 pixel = vec2(place.x, 1.0 - place.y);
      if (texture(known, pixel).r < 0.5) discard;
      vec2 rise = texture(slopes, pixel).rg * exaggeration;
      float light = max(dot(normalize(vec3(-rise, 1.0)), sun), 0.0);
      vec3 base = vec3(0.93);
      if (mode == 1) base = texture(picture, pixel).rgb;
      if (mode == 2) base = texture(ramp, vec2((height - low) / (high - low), 0.5)).rgb;
      // A slope turned away keeps the sky's light; level ground keeps its colour whatever the sun's height. An
      // image has its own sun in it, so that it needs less of this one.
      float share = mode == 1 ? 0.5 : 0.7;
      float level = 1.0 - share + share * light / max(sun.z, 0.25);
      vec3 shaded = mode == 0 ? vec3(0.06 + 0.94 * light) : base * min(level, 1.35);
      colour = vec4(mix(base, shaded, lit), 1.0);
    }`;

  const MODES = { hillshade: 0, image: 1, elevation: 2 };

  function grid(values, columns, rows, format, type, filter) {
    const texture = new THREE.DataTexture(values, columns, rows, format, type);
    texture.minFilter = texture.magFilter = filter;
    texture.unpackAlignment = 1;
    texture.needsUpdate = true;
    return texture;
  }

  /** Colours of a ramp of six-digit hexadecimal ones, evenly spaced, as 256 pixels. */
  function rampTexture(colours) {
    const stops = colours.map((text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)));
    const values = new Uint8Array(256 * 4);
    for (let i = 0; i < 256; i++) {
      const place = (i / 255) * (stops.length - 1), first = Math.min(Math.floor(place), stops.length - 2);
      const mixed = stops[first].map((value, k) => value + (stops[first + 1][k] - value) * (place - first));
      values.set([...mixed.map(Math.round), 255], 4 * i);
    }
    return grid(values, 256, 1, THREE.RGBAFormat, THREE.UnsignedByteType, THREE.LinearFilter);
  }

  /** The picture laid over the surface; its rows already run from the top. */
  async function pictureTexture(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    const texture = new THREE.Texture(image);
    texture.flipY = false;
    texture.minFilter = THREE.LinearMipmapLinearFilter;
    texture.anisotropy = 8;
    texture.needsUpdate = true;
    return texture;
  }

  /** The material of a surface. Its uniforms are the view's to change. */
  function of(surface, ramp, picture) {
    const { columns, rows } = surface;
    const everywhere = grid(new Uint8Array([255]), 1, 1, THREE.RedFormat, THREE.UnsignedByteType, THREE.NearestFilter);
    const known = surface.known
      ? grid(surface.known, columns, rows, THREE.RedFormat, THREE.UnsignedByteType, THREE.NearestFilter)
      : everywhere;
    const z = (height) => (height / surface.step - surface.middle) * surface.metres;
    return new THREE.ShaderMaterial({
      glslVersion: THREE.GLSL3,
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      side: THREE.DoubleSide,
      uniforms: {
        exaggeration: { value: 1 },
        size: { value: new THREE.Vector2(columns * surface.across, rows * surface.down) },
        slopes: { value: grid(surface.slopes(), columns, rows, THREE.RGFormat, THREE.HalfFloatType, THREE.LinearFilter) },
        known: { value: known },
        picture: { value: picture ?? ramp },
        ramp: { value: ramp },
        low: { value: z(surface.facts.low) },
        high: { value: z(surface.facts.high) },
        mode: { value: MODES.hillshade },
        lit: { value: 1 },
        sun: { value: new THREE.Vector3(0, 0, 1) },
      },
    });
  }

  return { MODES, of, rampTexture, pictureTexture };
})();
