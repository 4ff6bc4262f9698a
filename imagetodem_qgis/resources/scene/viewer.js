// The page: reads the scene, ties settings, pointer and keys to the view.
(() => {
  "use strict";

  const element = (id) => document.getElementById(id);
  const scene = JSON.parse(element("scene").textContent);
  const canvas = element("canvas");
  const SKIN_SIDE = 4096;
  const KEYS = [
    ["Drag, one finger", "turn"], ["Right drag, two fingers", "move"], ["Wheel, pinch", "zoom"],
    ["← → ↑ ↓", "turn"], ["Shift + arrows", "move"], ["+ −", "zoom"], ["1 2 3", "image, hillshade, elevation"],
    ["E, Shift + E", "heights larger, smaller"], ["S, Shift + S", "sun clockwise, back"], ["B", "side by side"],
    ["T, R", "from above, reset"], ["P, G", "save PNG, glTF"], ["H", "this list"],
  ];
  let view = null;

  const number = (value, digits) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const shown = (value) => (Math.abs(value) < 10 ? number(value, 2) : number(value, 0));
  const unit = (i) => (scene.units[i] ? ` ${scene.units[i]}` : "");

  function say(text) { element("message").textContent = text; }

  function save(content, suffix, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    link.download = scene.file + suffix;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  async function saveGltf() {
    const { mode, exaggeration } = view.state;
    const skin = await view.skin(0, SKIN_SIDE);
    const extras = { crs: scene.crs, transform: scene.transform, heightOfOrigin: view.surfaces[0].middle * scene.step };
    const options = { name: scene.title, exaggeration, isShaded: mode === "hillshade", extras };
    save(Gltf.binary(view.surfaces[0], skin, options), ".glb", "model/gltf-binary");
  }

  function refresh() {
    const { mode, exaggeration, azimuth, altitude, both } = view.state;
    document.querySelector(`input[name=mode][value=${mode}]`).checked = true;
    element("exaggeration").value = Math.log10(exaggeration);
    element("exaggeration-value").textContent = String(Number(exaggeration.toPrecision(2)));
    element("azimuth").value = azimuth;
    element("azimuth-value").textContent = `${azimuth}°`;
    element("altitude").value = altitude;
    element("altitude-value").textContent = `${altitude}°`;
    element("both").setAttribute("aria-pressed", both);
    element("legend").hidden = mode !== "elevation";
  }

  function change(changes) {
    view.set(changes);
    refresh();
  }

  function exaggerate(factor) {
    change({ exaggeration: Math.min(Math.max(view.state.exaggeration * factor, 0.1), 50) });
  }

  /** Write the heights under a place on the canvas, in CSS pixels. */
  function read(x, y) {
    const pixel = view.pick(x, y);
    const output = element("readout");
    if (!pixel) {
      output.textContent = "No height here.";
      return;
    }
    const { column, row } = pixel;
    const lines = view.surfaces.map((surface, i) => {
      const height = surface.height(column, row);
      const text = height === null ? "unknown" : `${height.toFixed(3)}${unit(i)}`;
      return view.surfaces.length > 1 ? `${surface.facts.name} ${text}` : text;
    });
    const [left, a, b, top, d, e] = scene.transform;
    const [x0, y0] = [left + a * (column + 0.5) + b * (row + 0.5), top + d * (column + 0.5) + e * (row + 0.5)];
    const digits = scene.isGeographic ? 7 : 2;
    const place = document.createElement("small");
    place.textContent = `x ${x0.toFixed(digits)}  y ${y0.toFixed(digits)}  ·  column ${column}, row ${row}`;
    const bold = lines.map((line) => Object.assign(document.createElement("b"), { textContent: line }));
    output.replaceChildren(...bold.flatMap((line, i) => (i ? [document.createElement("br"), line] : [line])), place);
  }

  function readMiddle() {
    const pane = view.panes()[0];
    const [x, y] = [pane.left + pane.width / 2, pane.top + pane.height / 2];
    Object.assign(element("cross").style, { left: `${x}px`, top: `${y}px` });
    element("cross").hidden = false;
    read(x, y);
  }

  const COMMANDS = {
    ArrowLeft: (shift) => (shift ? view.pan(-0.05, 0) : view.orbit(-0.08, 0)),
    ArrowRight: (shift) => (shift ? view.pan(0.05, 0) : view.orbit(0.08, 0)),
    ArrowUp: (shift) => (shift ? view.pan(0, 0.05) : view.orbit(0, 0.06)),
    ArrowDown: (shift) => (shift ? view.pan(0, -0.05) : view.orbit(0, -0.06)),
    "+": () => view.zoom(1 / 1.15),
    "=": () => view.zoom(1 / 1.15),
    "-": () => view.zoom(1.15),
    1: () => scene.hasPicture && change({ mode: "image" }),
    2: () => change({ mode: "hillshade" }),
    3: () => change({ mode: "elevation" }),
    e: (shift) => exaggerate(shift ? 1 / 1.25 : 1.25),
    s: (shift) => change({ azimuth: (view.state.azimuth + (shift ? 345 : 15)) % 360 }),
    b: () => view.surfaces.length > 1 && change({ both: !view.state.both }),
    t: () => view.reset(true),
    r: () => view.reset(),
    p: () => element("snapshot").click(),
    g: () => element("gltf").click(),
    h: () => { element("about").open = !element("about").open; },
  };

  function onKey(event) {
    const command = COMMANDS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const isTyping = event.target.matches("input") && event.key.startsWith("Arrow");
    if (!command || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    command(event.shiftKey);
    readMiddle();
  }

  function onDrawn() {
    const direction = view.controls.getAzimuthalAngle();
    const turn = (direction * 180) / Math.PI + scene.north;
    element("compass").querySelector("path").setAttribute("transform", `rotate(${turn})`);
    const panes = view.panes();
    const labels = panes.length < 2 ? [] : panes.map(({ surface, left, top, width }) => {
      const label = Object.assign(document.createElement("span"), { textContent: scene.surfaces[surface].name });
      Object.assign(label.style, { left: `${left + width / 2}px`, top: `${top + 12}px` });
      return label;
    });
    element("labels").replaceChildren(...labels);
  }

  function tie() {
    element("mode").addEventListener("change", (event) => change({ mode: event.target.value }));
    element("exaggeration").addEventListener("input", (event) => change({ exaggeration: 10 ** event.target.value }));
    element("azimuth").addEventListener("input", (event) => change({ azimuth: Number(event.target.value) }));
    element("altitude").addEventListener("input", (event) => change({ altitude: Number(event.target.value) }));
    element("both").addEventListener("click", () => change({ both: !view.state.both }));
    element("above").addEventListener("click", () => view.reset(true));
    element("reset").addEventListener("click", () => view.reset());
    element("snapshot").addEventListener("click", async () => save(await view.snapshot(), ".png"));
    element("gltf").addEventListener("click", saveGltf);
    element("fold").addEventListener("click", () => {
      const isFolded = document.querySelector("main").classList.toggle("folded");
      element("fold").setAttribute("aria-expanded", !isFolded);
    });
    canvas.addEventListener("pointermove", (event) => {
      element("cross").hidden = true;
      if (event.pointerType === "touch" || event.buttons === 0) read(event.offsetX, event.offsetY);
    });
    canvas.addEventListener("pointerdown", (event) => read(event.offsetX, event.offsetY));
    canvas.addEventListener("drawn", onDrawn);
    document.addEventListener("keydown", onKey);
  }

  function describe() {
    const paragraphs = scene.notes.map((text) => Object.assign(document.createElement("p"), { textContent: text }));
    element("facts").replaceChildren(...paragraphs);
    element("keys").replaceChildren(...KEYS.flatMap((pair) => pair.map(
      (text, i) => Object.assign(document.createElement(i ? "dd" : "dt"), { textContent: text }),
    )));
    const { low, high } = scene.surfaces[0];
    const legend = element("legend");
    [legend.firstElementChild.textContent, legend.lastElementChild.textContent] = [shown(low), `${shown(high)}${unit(0)}`];
    legend.querySelector("i").style.background = `linear-gradient(90deg, ${scene.ramp.join(", ")})`;
    element("both").hidden = scene.surfaces.length < 2;
    document.querySelector("[data-mode=image]").hidden = !scene.hasPicture;
    if (innerWidth <= 600) element("fold").click();
  }

  async function start() {
    const picture = scene.hasPicture ? Material.pictureTexture(element("picture").textContent.trim()) : null;
    const surfaces = await Promise.all(scene.surfaces.map((_, i) => Surface.read(scene, i)));
    view = new View(canvas, scene, surfaces, await picture);
    tie();
    describe();
    change({ both: surfaces.length > 1 });
    view.reset();
    view.draw();
    performance.mark("drawn");
    say("");
    return view;
  }

  // What a script in the page may wait for and use.
  window.sceneView = start();
  window.sceneView.catch((error) => say(`This scene cannot be drawn: ${error.message}. It needs a current browser with WebGL 2.`));
})();
