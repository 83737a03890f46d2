// ---- page.js: what is chosen, and what is drawn anew when that changes ----

const state = { layer: 0, map: 0, row: 0, column: 0, mode: "activations" };

// Changes the state: {layer, map, row, column, mode}, or {pixel: [i, j]} for the nearest pixel in the page.
function choose(changes) {
  const before = { ...state };
  const old = LAYERS[before.layer];
  const { pixel, ...others } = changes;
  Object.assign(state, others);
  const layer = LAYERS[state.layer];
  if (state.layer !== before.layer) {
    if (changes.map === undefined) state.map = 0;
    chosenChannel = null;
  }
  if (pixel || state.layer !== before.layer) {
    // the same place of the image, unless a pixel is asked for
    const scaled = (n, axis) => ((n + 0.5) * layer.shape[axis]) / old.shape[axis] - 0.5;
    const [i, j] = pixel || [scaled(old.rows[before.row], 0), scaled(old.columns[before.column], 1)];
    state.row = nearest(layer.rows, i);
    state.column = nearest(layer.columns, j);
  }
  draw(before);
}

// Draws what depends on what has changed; everything, without `before`.
function draw(before) {
  const layer = LAYERS[state.layer];
  const recolored = !before || before.mode !== state.mode;
  if (recolored) {
    byId("mode-text").textContent = modeWords(state.mode);
    for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === state.mode);
    drawNetwork(state);
    drawMemory(state);
  }
  if (recolored || LAYERS[before.layer].block.level !== layer.block.level) {
    drawLevels(state);
    drawLevel(state);
  }
  markChosen(state);
  markChosenMap(state);
  byId("hovered").textContent = `${layer.name}, ${kindOf(layer)}: ${describeLayer(layer)}`;
  byId("layer-title").textContent = `${layer.name}: ${kindOf(layer)}`;
  byId("layer-facts").textContent = describeLayer(layer);
  byId("layer-text").textContent = layerWords(layer);
  byId("layer-choice").value = state.layer;
  byId("previous").disabled = state.layer === 0;
  byId("next").disabled = state.layer === LAYERS.length - 1;
  drawMap(state);
  drawField(state);
  drawSum(state);
}

// ---- what the reader does ----

// Calls act(element) when something in the place that matches the selector is clicked.
function onClick(place, selector, act) {
  byId(place).addEventListener("click", (event) => {
    const found = event.target.closest(selector);
    if (found) act(found);
  });
}

function listenToTheDrawing() {
  const pick = (node) => choose({ layer: Number(node.dataset.layer), ...(node.dataset.map ? { map: Number(node.dataset.map) } : {}) });
  onClick("drawing", "[data-layer]", pick);
  onClick("memory", "[data-layer]", pick);
  onClick("level", "[data-map]", pick);
  onClick("levels", "[data-level]", (button) => choose({ layer: LAYERS.findIndex((layer) => layer.block.level === Number(button.dataset.level)) }));
  for (const kind of ["mouseover", "focusin"]) {
    byId("drawing").addEventListener(kind, (event) => {
      const node = event.target.closest("[data-layer]");
      const layer = LAYERS[node ? Number(node.dataset.layer) : state.layer];
      byId("hovered").textContent = `${layer.name}, ${kindOf(layer)}: ${describeLayer(layer)}`;
    });
  }
  byId("drawing").addEventListener("keydown", (event) => {
    const node = event.target.closest(".block");
    if (!node) return;
    const number = Number(node.dataset.layer);
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const other = document.querySelector(`#drawing .block[data-layer="${number + (move || 0)}"]`);
    if (move && other) other.focus();
    if (event.key === "Enter" || event.key === " ") choose({ layer: number });
    if (move || event.key === "Enter" || event.key === " ") event.preventDefault();
  });
}

function listenToTheMap() {
  const map = byId("map");
  map.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect();
    const [H, W] = LAYERS[state.layer].shape;
    choose({ pixel: [((event.clientY - box.top) / box.height) * H - 0.5, ((event.clientX - box.left) / box.width) * W - 0.5] });
  });
  map.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const { rows, columns } = LAYERS[state.layer];
    const within = (n, list) => Math.min(list.length - 1, Math.max(0, n));
    if (move) choose({ row: within(state.row + move[0], rows), column: within(state.column + move[1], columns) });
    if (event.key === "Enter") byId("sum-title").focus();
    if (move || event.key === "Enter") event.preventDefault();
  });
}

function listenToTheRest() {
  byId("layer-choice").addEventListener("change", (event) => choose({ layer: Number(event.target.value) }));
  byId("previous").addEventListener("click", () => choose({ layer: state.layer - 1 }));
  byId("next").addEventListener("click", () => choose({ layer: state.layer + 1 }));
  for (const button of document.querySelectorAll("[data-mode]")) button.addEventListener("click", () => choose({ mode: button.dataset.mode }));
  onClick("sum", ".product", (button) => {
    chosenChannel = Number(button.dataset.channel);
    drawSum(state).then(() => document.querySelector(`.product[data-channel="${chosenChannel}"]`)?.focus());
  });
  onClick("sum", "#origin", (button) => {
    const layer = Number(button.dataset.layer);
    const map = LAYERS[layer].maps.indexOf(Number(button.dataset.channel));
    choose({ layer, map: Math.max(0, map), pixel: button.dataset.pixel.split(" ").map(Number) });
  });
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
    nameTheme();
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (nameTheme(), draw()));
}

function nameTheme() {
  byId("theme").textContent = theme() === "dark" ? "Light colors" : "Dark colors";
}

function start() {
  byId("subject").textContent = `${DATA.title}: ${DATA.model}, task ${DATA.task}`;
  document.title = `Inside a U-Net: ${DATA.title}`;
  byId("rules").textContent = rulesWords();
  byId("layer-choice").append(...LAYERS.map((layer, n) => element("option", { value: n }, layer.name)));
  state.layer = LAYERS.findIndex((layer) => layer.kind === "Conv2D");
  const { rows, columns, shape } = LAYERS[state.layer];
  [state.row, state.column] = [nearest(rows, shape[0] / 2), nearest(columns, shape[1] / 2)];
  nameTheme();
  draw();
  startAblation();
  listenToTheDrawing();
  listenToTheMap();
  listenToTheRest();
}

start();
