// ---- levels.js: the feature maps of a level, layer by layer ----

const LEVELS = [...new Set(LAYERS.map((layer) => layer.block.level))].sort((a, b) => a - b);

// Returns which half of a concatenation a channel belongs to: "up", "skip", or "" elsewhere.
function halfOf(layer, channel) {
  if (layer.kind !== "Concatenate") return "";
  return channel < layer.facts.halves[0] ? "up" : "skip";
}

// What a channel is called: a color in the image and in its mirrored copy, what it means in the answer, elsewhere a number.
function mapName(layer, channel) {
  if (isOutput(layer) && DATA.channels[channel]) return `map ${channel} (${DATA.channels[channel]})`;
  const colors = ["red", "green", "blue"];
  return ["Image", "Mirror"].includes(layer.kind) && layer.shape[2] === 3 ? colors[channel] : `map ${channel}`;
}

function drawLevels(state) {
  const level = LAYERS[state.layer].block.level;
  byId("levels").replaceChildren(...LEVELS.map((n) => element("button", { type: "button", "data-level": n, "aria-pressed": n === level }, levelName(n))));
}

function levelName(level) {
  return level === LEVELS[LEVELS.length - 1] && LEVELS.length > 1 ? `${level} (bottom)` : String(level);
}

function drawLevel(state) {
  const level = LAYERS[state.layer].block.level;
  const here = LAYERS.map((layer, number) => number).filter((number) => LAYERS[number].block.level === level);
  const sides = [["down", "On the way down"], ["bottom", "The bottom"], ["up", "On the way up"]];
  const columns = sides
    .map(([side, words]) => [words, here.filter((number) => LAYERS[number].block.side === side)])
    .filter(([, numbers]) => numbers.length)
    .map(([words, numbers]) => element("div", {}, element("h3", {}, words), ...numbers.map((number) => layerRow(number, state))));
  byId("level").replaceChildren(...columns);
  const [H, W] = LAYERS[here[here.length - 1]].shape;
  byId("level-text").textContent = `Level ${levelName(level)}: maps of about ${H} × ${W} pixels. Choose a map to enlarge it below.`;
}

// A layer's name, and its maps as buttons. Those of a concatenation have the colors of its two halves.
function layerRow(number, state) {
  const layer = LAYERS[number];
  const buttons = layer.maps.map((channel, n) => {
    const canvas = element("canvas", { "aria-hidden": "true" });
    paintMap(canvas, layer, n, state.mode);
    const half = halfOf(layer, channel);
    const name = `${layer.name}, ${mapName(layer, channel)}${{ up: ", upsampled", skip: ", from the skip", "": "" }[half]}`;
    return element("button", { type: "button", class: `thumbnail ${half}`, "aria-label": name, title: name, "data-layer": number, "data-map": n }, canvas);
  });
  const [, , C] = layer.shape;
  const count = layer.maps.length < C ? `${layer.maps.length} of ${C} maps` : plural(C, "map");
  const row = element("div", { class: "layer-row" }, element("p", {}, element("b", {}, layer.name), ` ${kindOf(layer)}, ${count}`));
  if (layer.kind === "Concatenate") {
    const [up, skip] = layer.facts.halves;
    row.append(element("p", { class: "note" }, element("b", { class: "up" }, `upsampled: maps 0 to ${up - 1}`), " | ", element("b", { class: "skip" }, `skip: maps ${up} to ${up + skip - 1}`)));
  }
  row.append(element("div", { class: "thumbnails" }, ...buttons));
  return row;
}

function markChosenMap(state) {
  for (const node of document.querySelectorAll("#level .thumbnail")) {
    node.setAttribute("aria-pressed", Number(node.dataset.layer) === state.layer && Number(node.dataset.map) === state.map);
  }
}
