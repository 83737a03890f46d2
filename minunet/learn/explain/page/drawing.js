// ---- drawing.js: the U, to scale ----

const KINDS = {
  Image: "the image",
  Conv2D: "convolution",
  ConvTranspose2D: "transposed convolution",
  MaxPool2D: "max pooling",
  Concatenate: "concatenation",
  BatchNorm: "batch normalization",
  Dropout: "dropout",
  Crop: "crop",
  CropLike: "crop",
  Mirror: "mirrored edges",
  ReLU: "ReLU",
  Sigmoid: "sigmoid",
};
// Whether a layer is the last convolution, or after it: its maps have the meaning of the task.
const LAST_CONVOLUTION = LAYERS.map((layer) => layer.kind).lastIndexOf("Conv2D");
const isOutput = (layer) => LAYERS.indexOf(layer) >= LAST_CONVOLUTION;
// Whether gradients there are those with respect to the logits z, not to what the layer shows.
const hasLogits = (layer) => isOutput(layer) && Boolean(LAYERS[LAST_CONVOLUTION].facts.activation);

const kindOf = (layer) => KINDS[layer.kind] || layer.kind;

// The layer at which each skip connection begins, and the concatenation at which it arrives; the image's level first.
const SKIPS = LAYERS.map((layer, number) => number)
  .filter((number) => LAYERS[number].kind === "Concatenate")
  .map((target) => {
    let source = LAYERS[target].sources[1];
    while (LAYERS[source].kind === "Crop") source = LAYERS[source].sources[0];
    return { source, target };
  })
  .reverse();

function describeLayer(layer) {
  const [H, W, C] = layer.shape;
  const parts = [`${H} × ${W} pixels, ${plural(C, "map")}`];
  if (layer.costs) {
    parts.push(plural(layer.costs.parameters, "parameter"), `${quantity(layer.costs.flop)} FLOPs`);
    parts.push(`${bytes(layer.costs.kept)} kept for backward`);
  }
  return parts.join(" · ");
}

// Draws everything anew, in the colors of the mode: arrows, blocks, and thumbnails on the skips.
function drawNetwork(state) {
  const [width, height] = DATA.drawing;
  const picture = svg("svg", { viewBox: `-4 0 ${width + 8} ${height}`, role: "group", "aria-label": "The layers, in the order in which they run", class: state.mode === "activations" ? "" : "colored" });
  LAYERS.forEach((layer, number) => {
    if (number && LAYERS[number - 1].block.level !== layer.block.level) picture.append(step(LAYERS[number - 1].block, layer.block));
  });
  for (const skip of SKIPS) picture.append(skipLine(skip));
  const thumbnails = svg("g", { "aria-hidden": "true" });
  picture.append(thumbnails, ...LAYERS.map((layer, number) => block(layer, number, state)));
  byId("drawing").replaceChildren(picture);
  SKIPS.forEach((skip) => addThumbnails(thumbnails, skip, state));
  addCorners(thumbnails);
  markChosen(state);
  drawLegend(state);
}

// A line from a block to the next one, on another level.
function step(from, to) {
  const [x, y0, y1] = [from.x + from.width, from.y + from.height / 2, to.y + to.height / 2];
  return svg("path", { class: "arrow", d: `M${x} ${y0} H${to.x - 7} V${y1} H${to.x}` });
}

function skipLine({ source, target }) {
  const [from, to] = [LAYERS[source].block, LAYERS[target].block];
  const y = from.y + from.height / 2;
  return svg("path", { class: "arrow skip", "data-target": target, d: `M${from.x + from.width} ${y} H${to.x}` });
}

function block(layer, number, state) {
  const { x, y, width, height } = layer.block;
  const name = `${layer.name}, ${kindOf(layer)}: ${describeLayer(layer)}`;
  const group = svg("g", { class: `block ${layer.kind}`, role: "button", "aria-label": name, "data-layer": number });
  if (SKIPS.some((skip) => skip.source === number)) group.classList.add("crosses");
  group.append(svg("title", {}, name));
  group.append(svg("rect", { class: "reach", x: x - 2, y: y - 8, width: width + 4, height: height + 16 }));
  if (layer.kind === "Concatenate") {
    const [up, skip] = layer.facts.halves;
    const part = (width * up) / (up + skip);
    group.append(svg("rect", { class: "face half-up", x, y, width: part, height }));
    group.append(svg("rect", { class: "face half-skip", x: x + part, y, width: width - part, height }));
  } else {
    group.append(svg("rect", { class: "face", x, y, width, height }));
  }
  const level = strength(layer, state.mode);
  if (level !== null) for (const face of group.querySelectorAll(".face")) face.style.fill = css(rising[Math.round(255 * level)]);
  return group;
}

const GRADIENT_SIZES = LAYERS.map((layer) => layer.gradientSize).filter((size) => size > 0);
const KEPT = LAYERS.map((layer) => (layer.costs ? layer.costs.kept : 0));

// Returns 0 to 1 for the color of a block: how large gradients are, on a logarithmic scale, or how much is kept.
function strength(layer, mode) {
  if (mode === "memory") return (layer.costs ? layer.costs.kept : 0) / Math.max(...KEPT, 1);
  if (mode !== "gradients") return null;
  if (!layer.gradientSize) return 0;
  const [low, high] = [Math.log(Math.min(...GRADIENT_SIZES)), Math.log(Math.max(...GRADIENT_SIZES))];
  return (Math.log(layer.gradientSize) - low) / (high - low || 1);
}

// Marks the chosen block; only it is reached by Tab, the others from there by arrow keys.
function markChosen(state) {
  for (const node of document.querySelectorAll("#drawing .block")) {
    const chosen = Number(node.dataset.layer) === state.layer;
    node.classList.toggle("chosen", chosen);
    node.setAttribute("aria-pressed", chosen);
    node.setAttribute("tabindex", chosen ? 0 : -1);
  }
}

// Dashes the skip connections that are removed.
function markRemoved(targets) {
  for (const line of document.querySelectorAll("#drawing .skip")) line.classList.toggle("removed", targets.includes(Number(line.dataset.target)));
}

// The maps that cross over, as many as there is room for, on the line on which they cross.
function addThumbnails(group, { source, target }, state) {
  const layer = LAYERS[source];
  const opposite = LAYERS.filter((other) => other.block.level === layer.block.level && other.block.side === "up");
  const right = Math.min(LAYERS[target].block.x, ...opposite.map((other) => other.block.x)) - 14;
  const left = layer.block.x + layer.block.width + 24;
  const height = Math.min(Math.max(36, layer.block.height * 0.6), 104);
  const width = (height * layer.shape[1]) / layer.shape[0];
  const room = Math.max(0, Math.floor((right - left) / (width + 6)));
  const y = layer.block.y + layer.block.height / 2 - height / 2;
  layer.maps.slice(0, room).forEach(async (channel, n) => {
    const canvas = element("canvas");
    await paintMap(canvas, layer, n, state.mode);
    const place = { x: left + n * (width + 6), y, width, height };
    group.append(svg("image", { ...place, href: canvas.toDataURL(), preserveAspectRatio: "none", class: "thumbnail", "data-layer": source, "data-map": n }));
  });
}

// The image and the answer, in the corners below the ends of the U, as large as there is room.
function addCorners(group) {
  const [width, height] = DATA.drawing;
  const foot = height - 20; // below it stand the words
  const [first, last] = [LAYERS[0].block, LAYERS[LAYERS.length - 1].block];
  const free = (x, size) => LAYERS.every(({ block }) => block.x + block.width < x - 12 || block.x > x + size + 12 || block.y + block.height < foot - size - 12);
  for (const [urls, words, from, right] of [[[DATA.image.url], "the image", first, false], [[DATA.image.url, DATA.answers[0].url], "the answer", last, true]]) {
    let size = 150;
    while (size > 40 && !free(right ? width - size : 0, size)) size -= 2;
    if (size <= 40) continue;
    const ratio = DATA.image.width / DATA.image.height;
    const [wide, high] = [size * Math.min(1, ratio), size / Math.max(1, ratio)];
    const place = { x: right ? width - wide : 0, y: foot - high, width: wide, height: high };
    const x = right ? last.x + last.width / 2 : first.x + first.width / 2;
    group.append(svg("path", { class: "arrow", d: `M${x} ${from.y + from.height} V${place.y}` }));
    for (const href of urls) group.append(svg("image", { ...place, href, preserveAspectRatio: "none" }));
    group.append(svg("text", { class: "corner", x: right ? width : 0, y: foot + 16, "text-anchor": right ? "end" : "start" }, words));
  }
}

function drawLegend(state) {
  let entries = [["var(--skip)", "crosses over by a skip connection"], ["var(--up)", "upsampled"], ["var(--pool)", "pooling"], ["var(--layer)", "other layers"]];
  const lightest = rising.filter((_, level) => level % 64 === 0).concat([rising[255]]).map(css).join(", ");
  if (state.mode === "memory") entries = [[`linear-gradient(90deg, ${lightest})`, `0 to ${bytes(Math.max(...KEPT))} kept`]];
  if (state.mode === "gradients") {
    const [low, high] = [Math.min(...GRADIENT_SIZES), Math.max(...GRADIENT_SIZES)];
    entries = GRADIENT_SIZES.length ? [[`linear-gradient(90deg, ${lightest})`, `root mean square of a layer's gradient: ${short(low)} to ${short(high)}, on a logarithmic scale`]] : [];
  }
  byId("legend").replaceChildren(...entries.map(([background, words]) => legendEntry(background, words)));
}

function legendEntry(background, words) {
  const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = background;
  return element("li", {}, swatch, words);
}
