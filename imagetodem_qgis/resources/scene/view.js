// The drawing of one or two surfaces with one camera, on demand.
class View {
  constructor(canvas, scene, surfaces, picture) {
    Object.assign(this, { canvas, facts: scene, surfaces, picture });
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: !View.isDrawnBySoftware(), alpha: true });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    this.renderer.setScissorTest(true);
    this.ramp = Material.rampTexture(scene.ramp);
    this.drawn = surfaces.map((surface) => this.mesh(surface, picture));
    this.state = { mode: picture ? "image" : "elevation", exaggeration: scene.exaggeration, azimuth: 315, altitude: 45, both: false };
    this.reach = Math.hypot(scene.columns * scene.cell[0], scene.rows * scene.cell[1]);
    this.camera = new THREE.PerspectiveCamera(40, 1, this.reach / 1000, this.reach * 20);
    this.camera.up.set(0, 0, 1);
    this.controls = new THREE.OrbitControls(this.camera, canvas);
    this.controls.maxPolarAngle = Math.PI * 0.495;
    this.controls.minDistance = this.reach / 500;
    this.controls.maxDistance = this.reach * 6;
    this.controls.addEventListener("change", () => this.request());
    new ResizeObserver(() => this.request()).observe(canvas);
    canvas.addEventListener("webglcontextrestored", () => this.request());
    this.reset();
  }

  /** Whether a processor does a graphics card's work: smoothing edges would then take most of the time. */
  static isDrawnBySoftware() {
    const context = document.createElement("canvas").getContext("webgl2");
    const names = context?.getExtension("WEBGL_debug_renderer_info");
    const name = names ? context.getParameter(names.UNMASKED_RENDERER_WEBGL) : "";
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    return /swiftshader|llvmpipe|softpipe|basic render/i.test(name);
  }

  mesh(surface, picture) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(surface.positions(), 3));
    geometry.setIndex(new THREE.BufferAttribute(Uint32Array.from(surface.triangles), 1));
    const mesh = new THREE.Mesh(geometry, Material.of(surface, this.ramp, picture));
    mesh.frustumCulled = false;
    const scene = new THREE.Scene();
    scene.add(mesh);
    return { scene, uniforms: mesh.material.uniforms };
  }

  /** Change some of the state and draw. */
  set(changes) {
    Object.assign(this.state, changes);
    this.request();
  }

  request() {
    this.awaited ??= requestAnimationFrame(() => this.draw());
  }

  /** The rectangles of the canvas in which surfaces are drawn, in CSS pixels from its upper left corner. */
  panes() {
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (!this.state.both || this.surfaces.length < 2) return [{ surface: 0, left: 0, top: 0, width, height }];
    const [halfWidth, halfHeight] = width >= height ? [width / 2, height] : [width, height / 2];
    return [0, 1].map((surface) => ({
      surface,
      left: width >= height ? surface * halfWidth : 0,
      top: width >= height ? 0 : surface * halfHeight,
      width: halfWidth,
      height: halfHeight,
    }));
  }

  draw() {
    this.awaited = null;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const size = this.renderer.getSize(new THREE.Vector2());
    if (size.x !== width || size.y !== height) this.renderer.setSize(width, height, false);
    for (const pane of this.panes()) {
      const bottom = height - pane.top - pane.height;
      this.renderer.setViewport(pane.left, bottom, pane.width, pane.height);
      this.renderer.setScissor(pane.left, bottom, pane.width, pane.height);
      this.camera.aspect = pane.width / pane.height;
      this.camera.updateProjectionMatrix();
      this.renderer.render(this.lit(pane.surface), this.camera);
    }
    this.canvas.dispatchEvent(new Event("drawn"));
  }

  /** A surface with the state's colours and light. */
  lit(number, isLit = true) {
    const { scene, uniforms } = this.drawn[number];
    const { mode, exaggeration, azimuth, altitude } = this.state;
    const towards = ((azimuth + this.facts.north) * Math.PI) / 180, up = (altitude * Math.PI) / 180;
    uniforms.mode.value = Material.MODES[mode];
    uniforms.exaggeration.value = exaggeration;
    uniforms.lit.value = isLit ? 1 : 0;
    uniforms.sun.value.set(Math.cos(up) * Math.sin(towards), Math.cos(up) * Math.cos(towards), Math.sin(up));
    return scene;
  }

  /** Look at all of it, from the south of the raster's frame or from above. */
  reset(isFromAbove = false) {
    const width = this.facts.columns * this.facts.cell[0], height = this.facts.rows * this.facts.cell[1];
    const pane = this.panes()[0];
    const aspect = pane.width && pane.height ? pane.width / pane.height : 1.5;
    const half = Math.tan((this.camera.fov * Math.PI) / 360);
    this.controls.target.set(0, 0, 0);
    if (isFromAbove) {
      const distance = (1.08 * Math.max(height, width / aspect)) / 2 / half;
      // Not quite upright: there, a camera does not know which way is up.
      this.camera.position.set(0, -distance * 1e-5, distance);
    } else {
      const distance = (0.64 * Math.max(width / aspect, height * 0.85)) / half;
      this.camera.position.set(0, -distance * 0.8, distance * 0.6);
    }
    this.controls.update();
    this.request();
  }

  /** Turn the camera around its target, in radians. */
  orbit(around, upwards) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const length = offset.length(), azimuth = Math.atan2(offset.y, offset.x) + around;
    const least = Math.PI / 2 - this.controls.maxPolarAngle;
    const altitude = Math.min(Math.max(Math.asin(offset.z / length) + upwards, least), Math.PI / 2 - 1e-5);
    offset.set(Math.cos(altitude) * Math.cos(azimuth), Math.cos(altitude) * Math.sin(azimuth), Math.sin(altitude));
    this.camera.position.copy(this.controls.target).addScaledVector(offset, length);
    this.controls.update();
    this.request();
  }

  /** Come nearer (below 1) or go away (above 1). */
  zoom(factor) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const length = Math.min(Math.max(offset.length() * factor, this.controls.minDistance), this.controls.maxDistance);
    this.camera.position.copy(this.controls.target).addScaledVector(offset.normalize(), length);
    this.controls.update();
    this.request();
  }

  /** Move over the ground, by shares of the distance to it. */
  pan(right, forwards) {
    const distance = this.camera.position.distanceTo(this.controls.target);
    const sideways = new THREE.Vector3().setFromMatrixColumn(this.camera.matrix, 0).setZ(0).normalize();
    const ahead = new THREE.Vector3(-sideways.y, sideways.x, 0);
    const move = sideways.multiplyScalar(right * distance).addScaledVector(ahead, forwards * distance);
    this.camera.position.add(move);
    this.controls.target.add(move);
    this.controls.update();
    this.request();
  }

  paneAt(x, y) {
    return this.panes().find(({ left, top, width, height }) => x >= left && y >= top && x < left + width && y < top + height);
  }

  /** The pixel under a place on the canvas, {column, row}, null where there is none. */
  pick(x, y) {
    const pane = this.paneAt(x, y);
    if (!pane) return null;
    const across = (2 * (x - pane.left)) / pane.width - 1, upwards = 1 - (2 * (y - pane.top)) / pane.height;
    this.aim(pane);
    const origin = new THREE.Vector3().setFromMatrixPosition(this.camera.matrixWorld);
    const direction = new THREE.Vector3(across, upwards, 0.5).unproject(this.camera).sub(origin).normalize();
    const pixel = this.surfaces[pane.surface].hit(origin, direction, this.state.exaggeration);
    return pixel && { column: pixel[0], row: pixel[1] };
  }

  /** Where on the canvas a pixel's middle is drawn, [x, y] in CSS pixels. */
  place(column, row, number = 0) {
    const pane = this.panes().find(({ surface }) => surface === number);
    const surface = this.surfaces[number];
    this.aim(pane);
    const point = new THREE.Vector3(surface.x(column), surface.y(row), surface.z(column, row) * this.state.exaggeration);
    point.project(this.camera);
    return [pane.left + ((point.x + 1) / 2) * pane.width, pane.top + ((1 - point.y) / 2) * pane.height];
  }

  aim(pane) {
    this.camera.aspect = pane.width / pane.height;
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
  }

  /** What is seen, as a PNG. */
  snapshot() {
    this.draw();
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }

  /** A surface's colours from straight above as a PNG, transparent in voids: the skin of the glTF. */
  async skin(number, longest) {
    const { columns, rows, cell } = this.facts;
    const finest = this.state.mode === "image" ? this.picture.image.width / columns : 1;
    const scale = Math.min(Math.max(finest, 1), longest / Math.max(columns, rows));
    const width = Math.max(1, Math.round(columns * scale)), height = Math.max(1, Math.round(rows * scale));
    const right = (columns * cell[0]) / 2, top = (rows * cell[1]) / 2, reach = this.reach * 100;
    const above = new THREE.OrthographicCamera(-right, right, top, -top, -reach, reach);
    const target = new THREE.WebGLRenderTarget(width, height);
    const values = new Uint8ClampedArray(4 * width * height);
    this.renderer.setRenderTarget(target);
    this.renderer.render(this.lit(number, this.state.mode === "hillshade"), above);
    this.renderer.readRenderTargetPixels(target, 0, 0, width, height, values);
    this.renderer.setRenderTarget(null);
    target.dispose();
    const upright = new Uint8ClampedArray(values.length);
    for (let row = 0; row < height; row++) {
      upright.set(values.subarray(4 * width * row, 4 * width * (row + 1)), 4 * width * (height - 1 - row));
    }
    const sheet = new OffscreenCanvas(width, height);
    sheet.getContext("2d").putImageData(new ImageData(upright, width, height), 0, 0);
    return new Uint8Array(await (await sheet.convertToBlob({ type: "image/png" })).arrayBuffer());
  }
}
