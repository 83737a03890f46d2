// ---- drawing.js: the U, to scale ----

const KINDS = {
  Image: "image",
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

// The layers whose output crosses over in a skip connection, and the concatenation at which each arrives.
const SKIPS = LAYERS.map((layer, number) => ({ layer, number }))
  .filter(({ layer }) => layer.kind === "Concatenate")
  .map(({ layer, number }) => {
    let source = layer.sources[1];
    while (LAYERS[source].kind === "Crop") source = LAYERS[source].sources[0];
    return { source, target: number };
  });

function describeLayer(layer) {
  const [H, W, C] = layer.shape;
  const parts = [`${H} × ${W} pixels, ${C} ${C === 1 ? "map" : "maps"}`];
  if (layer.costs) {
    parts.push(`${quantity(layer.costs.parameters)} parameters`);
    parts.push(`${quantity(layer.costs.flop)} FLOPs`);
    parts.push(`${bytes(layer.costs.kept)} kept for backward`);
  }
  return parts.join(" · ");
}

// Draws everything anew: blocks in the colors of the mode, arrows, and thumbnails on the skips.
function drawNetwork(state) {
  const [width, height] = DATA.drawing;
  const picture = svg("svg", { viewBox: `-4 0 ${width + 8} ${height}`, role: "group", "aria-label": "The layers" });
  LAYERS.forEach((layer, number) => number && picture.append(step(LAYERS[layer.sources[0]].block, layer.block, layer, number)));
  for (const skip of SKIPS) picture.append(skipLine(skip));
  LAYERS.forEach((layer, number) => picture.append(block(layer, number, state)));
  byId("drawing").replaceChildren(picture);
  for (const skip of SKIPS) addThumbnails(picture, skip, state);
}

// A line from a layer to the next one, where the level changes.
function step(from, to, layer, number) {
  if (from.level === to.level || layer.sources[0] !== number - 1) return svg("g");
  const x = from.x + from.width + 2;
  const [y0, y1] = [from.y + from.height / 2, to.y + to.height / 2];
  return svg("path", { class: to.level > from.level ? "arrow down" : "arrow up", d: `M${x} ${y0} H${to.x - 8} V${y1} H${to.x}` });
}

function skipLine({ source, target }) {
  const [from, to] = [LAYERS[source].block, LAYERS[target].block];
  const y = from.y + from.height / 2;
  return svg("path", { class: "arrow skip", d: `M${from.x + from.width} ${y} H${to.x}` });
}

function block(layer, number, state) {
  const { x, y, width, height } = layer.block;
  const name = `${layer.name}, ${KINDS[layer.kind] || layer.kind}: ${describeLayer(layer)}`;
  const group = svg("g", { class: `block ${layer.kind}`, role: "button", tabindex: number === state.layer ? 0 : -1, "aria-label": name, "data-layer": number });
  if (SKIPS.some((skip) => skip.source === number)) group.classList.add("crosses");
  if (number === state.layer) group.classList.add("chosen");
  group.append(svg("title", {}, name));
  group.append(svg("rect", { class: "reach", x: x - 2, y: y - 6, width: width + 4, height: height + 12 }));
  if (layer.kind === "Concatenate") {
    const [up, skip] = layer.facts.halves;
    const part = (width * up) / (up + skip);
    group.append(svg("rect", { class: "face half-up", x, y, width: part, height }));
    group.append(svg("rect", { class: "face half-skip", x: x + part, y, width: width - part, height }));
  } else {
    group.append(svg("rect", { class: "face", x, y, width, height }));
  }
  const level = strength(layer, state.mode);
  if (level !== null) for (const face of group.querySelectorAll(".face")) face.style.fill = color(rising[Math.round(255 * level)]);
  return group;
}

const color = ([r, g, b]) => `rgb(${Math.round(r)}, ${Math.round(g)}, ${Math.round(b)})`;

// Returns 0 to 1 for the color of a block: how large gradients are, on a logarithmic scale, or how much is kept.
function strength(layer, mode) {
  if (mode === "memory") {
    return (layer.costs ? layer.costs.kept : 0) / Math.max(...LAYERS.map((other) => (other.costs ? other.costs.kept : 0)), 1);
  }
  if (mode !== "gradients") return null;
  const sizes = LAYERS.map((other) => Math.log10(other.gradientSize || 1e-30)).filter((size) => size > -29);
  const [low, high] = [Math.min(...sizes), Math.max(...sizes)];
  return layer.gradientSize ? Math.max(0, (Math.log10(layer.gradientSize) - low) / (high - low || 1)) : 0;
}

// The maps that cross over, as many as there is room for, on the line on which they cross.
function addThumbnails(picture, { source, target }, state) {
  const [layer, to] = [LAYERS[source], LAYERS[target].block];
  const level = LAYERS.filter((other) => other.block.level === layer.block.level && other.block.side === "up");
  const right = Math.min(to.x, ...level.map((other) => other.block.x)) - 14;
  const left = layer.block.x + layer.block.width + 24;
  const size = Math.min(Math.max(36, layer.block.height * 0.55), 100);
  const room = Math.max(0, Math.floor((right - left) / (size + 6)));
  const y = layer.block.y + layer.block.height / 2 - size / 2;
  layer.maps.slice(0, room).forEach(async (channel, n) => {
    const canvas = element("canvas");
    await paintMap(canvas, layer, n, state.mode);
    const x = left + n * (size + 6);
    picture.append(svg("image", { href: canvas.toDataURL(), x, y, width: size, height: size, preserveAspectRatio: "none", class: "thumbnail", "data-layer": source, "data-map": n }));
  });
}
