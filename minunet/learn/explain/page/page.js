// ---- page.js: what is chosen, and what happens when that changes ----

const state = { layer: 1, map: 0, row: 0, column: 0, mode: "activations" };

// Changes the state, and draws what depends on it.
function choose(changes) {
  const before = { ...state };
  Object.assign(state, changes);
  const layer = LAYERS[state.layer];
  if (state.layer !== before.layer || changes.layer !== undefined) {
    if (changes.map === undefined) state.map = 0;
    const [H, W] = LAYERS[before.layer].shape;
    const [i, j] = [LAYERS[before.layer].rows[before.row] / H, LAYERS[before.layer].columns[before.column] / W];
    state.row = nearest(layer.rows, i * layer.shape[0]);
    state.column = nearest(layer.columns, j * layer.shape[1]);
  }
  draw();
}

function draw() {
  const layer = LAYERS[state.layer];
  byId("layer-title").textContent = layer.name;
  byId("layer-facts").textContent = describeLayer(layer);
  byId("layer-choice").value = state.layer;
  for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === state.mode);
  drawNetwork(state);
  drawThumbnails(state);
  drawMap(state);
  drawField(state);
  drawSum(state);
  drawMemory(state);
}

function pickPixel(i, j) {
  const layer = LAYERS[state.layer];
  choose({ row: nearest(layer.rows, i), column: nearest(layer.columns, j) });
}

function start() {
  byId("subject").textContent = DATA.title;
  byId("layer-choice").append(...LAYERS.map((layer, n) => element("option", { value: n }, layer.name)));
  byId("layer-choice").addEventListener("change", (event) => choose({ layer: Number(event.target.value) }));
  byId("previous").addEventListener("click", () => choose({ layer: Math.max(0, state.layer - 1) }));
  byId("next").addEventListener("click", () => choose({ layer: Math.min(LAYERS.length - 1, state.layer + 1) }));
  for (const button of document.querySelectorAll("[data-mode]")) button.addEventListener("click", () => choose({ mode: button.dataset.mode }));
  byId("drawing").addEventListener("click", (event) => {
    const target = event.target.closest("[data-layer]");
    if (target) choose({ layer: Number(target.dataset.layer), ...(target.dataset.map ? { map: Number(target.dataset.map) } : {}) });
  });
  byId("thumbnails").addEventListener("click", (event) => {
    const target = event.target.closest("[data-map]");
    if (target) choose({ map: Number(target.dataset.map) });
  });
  byId("map").addEventListener("click", (event) => {
    const box = byId("map").getBoundingClientRect();
    const [H, W] = LAYERS[state.layer].shape;
    pickPixel(((event.clientY - box.top) / box.height) * H - 0.5, ((event.clientX - box.left) / box.width) * W - 0.5);
  });
  byId("map").addEventListener("keydown", (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const layer = LAYERS[state.layer];
    const within = (n, list) => Math.min(list.length - 1, Math.max(0, n));
    choose({ row: within(state.row + move[0], layer.rows), column: within(state.column + move[1], layer.columns) });
  });
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
    byId("theme").setAttribute("aria-pressed", theme() === "dark");
    draw();
  });
  drawAblation();
  const middle = LAYERS[state.layer];
  state.row = nearest(middle.rows, middle.shape[0] / 2);
  state.column = nearest(middle.columns, middle.shape[1] / 2);
  draw();
}

start();
