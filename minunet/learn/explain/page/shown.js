// ---- shown.js: the arithmetic of sums.js, shown step by step ----

const MOST_ROWS = 12; // channels in the list of products
let sumsAsked = 0; // numbers are unpacked in the background: only what was asked for last is shown

async function drawSum(state) {
  const asked = ++sumsAsked;
  const layer = LAYERS[state.layer];
  byId("sum").setAttribute("aria-busy", "true");
  const arrays = await numbersOf(layer);
  if (asked !== sumsAsked) return;
  const draw = SHOWN[layer.kind] || ((...parts) => [verdict(networkNumber(arrays, state), ...parts.slice(1))]);
  const [i, j] = pixelOf(state);
  const channel = layer.maps[state.map];
  const place = element("div", { "data-row": i, "data-column": j, "data-channel": channel }, ...draw(layer, arrays, state));
  if (state.mode === "gradients") place.append(gradientHere(layer, arrays, state));
  byId("sum-title").textContent = `The number in row ${i}, column ${j} of ${mapName(layer, channel)}`;
  byId("sum").replaceChildren(place);
  byId("sum").dataset.layer = layer.name;
  byId("sum").setAttribute("aria-busy", "false");
}

const SHOWN = {
  Image: shownImage,
  Conv2D: shownConvolution,
  ConvTranspose2D: shownConvolution,
  MaxPool2D: shownPooling,
  BatchNorm: shownBatchNorm,
  Concatenate: shownCopy,
  Crop: shownCopy,
  CropLike: shownCopy,
  Mirror: shownCopy,
  Dropout: shownCopy,
  ReLU: shownActivation,
  Sigmoid: shownActivation,
};

// ---- parts of all of them ----

// A step of an equation: a number, and what it is.
function chip(value, words, kind = "") {
  return element("span", { class: `chip ${kind}` }, element("b", {}, typeof value === "number" ? short(value) : value), element("small", {}, words));
}

const sign = (text) => element("span", { class: "sign" }, text);

function equation(...parts) {
  return element("div", { class: "equation" }, ...parts);
}

// What came out here, beside what the network has computed.
function verdict(computed, arrays, state) {
  const network = networkNumber(arrays, state);
  const difference = Math.abs(computed - network);
  const close = difference <= 1e-4 * Math.max(1, Math.abs(network));
  const rest = difference === 0 ? "equal" : `they differ by ${short(difference)}: the network adds up in float32 and in another order`;
  return element("p", { class: close ? "verdict" : "verdict wrong" }, close ? "✓ " : "✗ ",
    "computed here: ", element("output", { id: "computed", "data-value": computed }, short(computed)),
    "; by the network: ", element("output", { id: "network-number", "data-value": network }, short(network)), `; ${rest}.`);
}

function gradientHere(layer, arrays, state) {
  const value = at(arrays.gradient, state.row, state.column, state.map);
  const logit = hasLogits(layer);
  return element("p", { class: "gradient" }, element("b", {}, `${logit ? "∂L/∂z" : "∂L/∂y"} = `), element("output", { id: "gradient-number", "data-value": value }, short(value)),
    `: if this ${logit ? "logit, before the activation," : "number"} grew by a little, the loss would ${value > 0 ? "grow" : value < 0 ? "fall" : "not change"}${value ? ` by ${short(Math.abs(value))} times as much` : ""}.`);
}

// A table of numbers, colored: blue below 0, orange above. null is padding, or no tap at all.
function grid(caption, rows, missing, best = null) {
  const most = Math.max(...rows.flat().map((value) => Math.abs(value || 0))) || 1;
  const cell = (value, k, l) => {
    const node = element("td", {}, value === null || Number.isNaN(value) ? missing : short(value, 3));
    if (typeof value === "number" && !Number.isNaN(value)) {
      const shade = aroundZero[theme()][Math.round(127.5 + 127.5 * (value / most))];
      node.title = short(value, 8);
      node.style.background = css(shade);
      node.style.color = shade[0] * 0.3 + shade[1] * 0.59 + shade[2] * 0.11 > 130 ? "#000" : "#fff";
    }
    if (best && best[0] === k && best[1] === l) node.className = "best";
    return node;
  };
  const body = rows.map((row, k) => element("tr", {}, ...row.map((value, l) => cell(value, k, l))));
  return element("table", { class: "grid" }, element("caption", {}, caption), element("tbody", {}, ...body));
}

// ---- convolutions ----

let chosenChannel = null; // whose window is shown; null: the one that weighs most

function shownConvolution(layer, arrays, state) {
  const account = accountOfConvolution(layer, arrays, state);
  const { products, bias, sum, value } = account;
  const [KH, KW, C] = [...layer.facts.kernel, products.length];
  const parts = [chip(sum - bias, `sum of ${KH} × ${KW} × ${C} products`)];
  if (layer.facts.bias) parts.push(sign(bias < 0 ? "−" : "+"), chip(Math.abs(bias), "bias of this map"));
  parts.push(sign("="), chip(sum, "z", layer.facts.activation ? "" : "result"));
  if (layer.facts.activation) parts.push(sign("→"), chip(value, ACTIVATION_WORDS[layer.facts.activation], "result"));
  const order = products.map((_, c) => c).sort((a, b) => Math.abs(products[b]) - Math.abs(products[a]));
  const channel = chosenChannel !== null && chosenChannel < C ? chosenChannel : order[0];
  const shown = [equation(...parts), verdict(value, arrays, state)];
  if (account.logits) shown.push(shownSoftmax(layer, account));
  if (layer.kind === "ConvTranspose2D") shown.push(element("p", {}, paintedBy(layer, state)));
  shown.push(...halves(layer, products));
  shown.push(element("div", { class: "columns uneven" }, productList(layer, products, order, channel), windows(layer, arrays, state, account.filter, channel, products[channel])));
  return shown;
}

// Which input pixels paint an output pixel of a transposed convolution.
function paintedBy(layer, state) {
  const [KH, KW] = layer.facts.kernel;
  const [i, j] = pixelOf(state);
  const found = [];
  for (let k = 0; k < KH; k++) for (let l = 0; l < KW; l++) {
    const place = tapSource(layer, [i, j], k, l);
    if (place && inside(layer, place)) found.push(`the tap in row ${k}, column ${l}, of input pixel (${place.join(", ")})`);
  }
  return `Each input pixel paints a tile of ${KH} × ${KW}. What stands here was painted by ${found.join(" and ") || "none: only the bias is here"}.`;
}

// After a concatenation: how much comes from each of its halves.
function halves(layer, products) {
  const source = LAYERS[layer.sources[0]];
  if (source.kind !== "Concatenate") return [];
  const up = source.facts.halves[0];
  const total = (list) => list.reduce((a, b) => a + b, 0);
  return [element("p", { class: "halves" }, "Of the sum, ", element("b", { class: "up" }, `${short(total(products.slice(0, up)))} comes from the upsampled maps`),
    " and ", element("b", { class: "skip" }, `${short(total(products.slice(up)))} from the skip connection`), ".")];
}

// The products, added up channel by channel; the largest first. Each is a button that shows its window.
function productList(layer, products, order, channel) {
  const source = LAYERS[layer.sources[0]];
  const most = Math.abs(products[order[0]]) || 1;
  const rows = order.slice(0, MOST_ROWS).map((c) => {
    const words = `${mapName(source, c)} of ${source.name}: ${short(products[c])}`;
    return element("button", { type: "button", class: `product ${halfOf(source, c)}`, "data-channel": c, "aria-pressed": c === channel, "aria-label": words },
      element("span", {}, mapName(source, c)), bar(products[c] / most), element("span", { class: "number" }, short(products[c])));
  });
  const rest = order.slice(MOST_ROWS);
  const total = rest.reduce((sum, c) => sum + products[c], 0);
  const list = element("div", { class: "products", role: "group", "aria-label": "Products by channel" }, element("h4", {}, `Products, by map of ${source.name}`), ...rows);
  if (rest.length) list.append(element("p", { class: "note" }, `${rest.length} more, smaller ones: together ${short(total)}.`));
  return list;
}

// A bar to the left of the middle for what is below 0, to the right for what is above.
function bar(part) {
  const inner = element("span", { class: part < 0 ? "negative" : "positive" });
  inner.style.width = `${50 * Math.abs(part)}%`;
  inner.style.left = part < 0 ? `${50 - 50 * Math.abs(part)}%` : "50%";
  return element("span", { class: "bar", "aria-hidden": "true" }, inner);
}

// What was read × the weights = the products, in one channel.
function windows(layer, arrays, state, filter, channel, total) {
  const [KH, KW] = layer.facts.kernel;
  const table = (number) => Array.from({ length: KH }, (_, k) => Array.from({ length: KW }, (__, l) => number(k, l)));
  const seen = table((k, l) => read(layer, arrays, state, k, l, channel));
  const weights = table((k, l) => at(arrays.weights, filter, k, l, channel));
  const products = table((k, l) => (seen[k][l] === null ? null : seen[k][l] * weights[k][l]));
  const transposed = layer.kind === "ConvTranspose2D";
  const missing = transposed ? "·" : "pad";
  const why = transposed ? " A dot: no input pixel reaches this one through that tap." : " “pad” lies outside of the map, and counts as 0.";
  const source = LAYERS[layer.sources[0]];
  return element("div", {}, element("h4", {}, `The window in ${mapName(source, channel)} of ${source.name}`),
    element("div", { class: "grids" }, grid("read", seen, missing), sign("×"), grid("weights", weights, ""), sign("="), grid("products", products, missing)),
    element("p", { class: "note" }, `The products add up to ${short(total)}.${seen.flat().includes(null) ? why : ""}`));
}

function shownSoftmax(layer, { logits, probabilities, filter }) {
  const rows = logits.map((z, k) => element("tr", k === filter ? { class: "chosen-row" } : {}, element("th", { scope: "row" }, DATA.channels[k] || `map ${layer.facts.filters[k]}`), element("td", {}, short(z)), element("td", {}, short(probabilities[k]))));
  return element("table", { class: "plain" }, element("thead", {}, element("tr", {}, ...["class", "z", "probability"].map((word) => element("th", { scope: "col" }, word)))), element("tbody", {}, ...rows));
}

// ---- the others ----

function shownPooling(layer, arrays, state) {
  const { window, best, value } = accountOfPooling(layer, arrays, state);
  const source = LAYERS[layer.sources[0]].name;
  const ties = window.flat().filter((other) => other === value).length;
  const which = ties > 1 ? `${ties} numbers are equally large, and the first of them counts as the largest: that` : "The largest number is that";
  return [element("div", { class: "grids" }, grid(`read in ${source}`, window, "pad", best), sign("→"), chip(value, "the largest", "result")), verdict(value, arrays, state),
    element("p", {}, `${which} in row ${best[0]}, column ${best[1]} of the window. It alone is passed on, without where it stood; in the backward pass, it alone gets the gradient.`)];
}

function shownBatchNorm(layer, arrays, state) {
  const { x, mean, variance, gamma, beta, z, value } = accountOfBatchNorm(layer, arrays, state);
  const deviation = Math.sqrt(variance + layer.facts.epsilon);
  const parts = [chip(gamma, "γ"), sign("× ("), chip(x, "x, read here"), sign("−"), chip(mean, "μ"), sign(") /"), chip(deviation, "√(v + ε)"), sign("+"), chip(beta, "β"), sign("="), chip(z, "z", layer.facts.activation ? "" : "result")];
  if (layer.facts.activation) parts.push(sign("→"), chip(value, ACTIVATION_WORDS[layer.facts.activation], "result"));
  return [equation(...parts), verdict(value, arrays, state),
    element("p", {}, `μ and v = ${short(variance)} are the running averages of this map's mean and variance in training; ε = ${short(layer.facts.epsilon)}. In training, they are those of the batch.`)];
}

function shownActivation(layer, arrays, state) {
  const x = at(arrays.x, state.row, state.column, state.map);
  const name = layer.kind.toLowerCase();
  const value = activate(name, x);
  return [equation(chip(x, "read here"), sign("→"), chip(value, ACTIVATION_WORDS[name], "result")), verdict(value, arrays, state)];
}

function shownCopy(layer, arrays, state) {
  const origin = originOf(layer, state);
  const value = networkNumber(arrays, state);
  const source = LAYERS[origin.layer];
  const half = { up: "the upsampled half", skip: "the half of the skip connection", "": "" }[halfOf(layer, layer.maps[state.map])];
  const words = `${half ? `This map belongs to ${half}. ` : ""}Nothing is computed here: the number is that of map ${origin.channel} of ${source.name}, row ${origin.pixel[0]}, column ${origin.pixel[1]}.`;
  const button = element("button", { type: "button", id: "origin", "data-layer": origin.layer, "data-channel": origin.channel, "data-pixel": origin.pixel.join(" ") }, `Go to ${source.name}`);
  return [equation(chip(value, "copied", "result")), verdict(value, arrays, state), element("p", {}, words), button];
}

function shownImage(layer, arrays, state) {
  const value = networkNumber(arrays, state);
  return [equation(chip(Math.round(value * 255), `${mapName(layer, layer.maps[state.map])}, a byte of 0 to 255`), sign("/ 255 ="), chip(value, "what the network reads", "result")), verdict(Math.fround(Math.round(value * 255) / 255), arrays, state)];
}
