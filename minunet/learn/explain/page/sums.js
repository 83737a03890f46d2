// ---- sums.js: a layer's arithmetic at one pixel, done again ----

// Returns {products, bias, sum, value, network} of a convolution. products[c] is the sum over the window in channel c.
function convolve(layer, arrays, state, filter) {
  const [KH, KW] = layer.facts.kernel;
  const C = arrays.weights.shape[3];
  const products = new Array(C).fill(0);
  for (let k = 0; k < KH; k++) {
    for (let l = 0; l < KW; l++) {
      for (let c = 0; c < C; c++) products[c] += read(layer, arrays, state, k, l, c) * at(arrays.weights, filter, k, l, c);
    }
  }
  const bias = at(arrays.bias, filter);
  return { products, bias, sum: products.reduce((a, b) => a + b, 0) + bias };
}

// Returns what the layer read under tap (k, l) of the window, channel c; 0 outside of the map.
function read(layer, arrays, state, k, l, c) {
  if (arrays.windows) return at(arrays.windows, state.row, state.column, k, l, c);
  const [H, W] = arrays.input.shape;
  const place = tapSource(layer, pixelOf(state), k, l);
  return place && place[0] >= 0 && place[0] < H && place[1] >= 0 && place[1] < W ? at(arrays.input, ...place, c) : 0;
}

// Returns the (row, column) of the input under tap (k, l) for the output pixel (i, j); null if a transposed
// convolution does not reach the pixel through this tap.
function tapSource(layer, [i, j], k, l) {
  const { stride, pads } = layer.facts;
  if (layer.kind !== "ConvTranspose2D") return [i * stride[0] + k - pads[0][0], j * stride[1] + l - pads[1][0]];
  const [down, across] = [i + pads[0][0] - k, j + pads[1][0] - l];
  return down % stride[0] || across % stride[1] ? null : [down / stride[0], across / stride[1]];
}

const ACTIVATIONS = {
  null: { name: "", apply: (z) => z },
  relu: { name: "ReLU, max(z, 0)", apply: (z) => Math.max(z, 0) },
  sigmoid: { name: "sigmoid, 1 / (1 + e⁻ᶻ)", apply: (z) => 1 / (1 + Math.exp(-z)) },
};

// ---- shown ----

async function drawSum(state) {
  const layer = LAYERS[state.layer];
  const arrays = await numbersOf(layer);
  if (layer !== LAYERS[state.layer]) return;
  const draw = { Conv2D: drawConvolution, ConvTranspose2D: drawConvolution }[layer.kind] || drawCopy;
  const [i, j] = pixelOf(state);
  const place = { "data-row": i, "data-column": j, "data-channel": layer.maps[state.map] };
  byId("sum").replaceChildren(element("div", place, ...draw(layer, arrays, state)));
  byId("sum").dataset.layer = layer.name;
}

function networkNumber(arrays, state) {
  return at(arrays.values, state.row, state.column, state.map);
}

// The last line: what came out here, and what the network has computed.
function verdict(computed, network) {
  return element("p", { class: "verdict" }, "Here: ", element("output", { id: "computed", "data-value": computed }, short(computed)),
    " · the network's number: ", element("output", { id: "network-number", "data-value": network }, short(network)));
}

function drawConvolution(layer, arrays, state) {
  const filter = layer.facts.filters.indexOf(layer.maps[state.map]);
  const { products, bias, sum } = convolve(layer, arrays, state, filter);
  let value, name;
  if (layer.facts.activation === "softmax") {
    const all = layer.facts.filters.map((_, f) => convolve(layer, arrays, state, f).sum);
    const largest = Math.max(...all);
    value = Math.exp(sum - largest) / all.reduce((total, z) => total + Math.exp(z - largest), 0);
    name = "softmax, eᶻ / Σ eᶻ over all channels";
  } else {
    const activation = ACTIVATIONS[layer.facts.activation];
    [value, name] = [activation.apply(sum), activation.name];
  }
  const order = products.map((product, c) => [product, c]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
  const largest = Math.abs(order[0][0]) || 1;
  const rows = order.slice(0, 12).map(([product, c]) =>
    element("tr", {}, element("th", { scope: "row" }, `channel ${c}`), element("td", {}, bar(product / largest)), element("td", { class: "number" }, short(product))));
  const rest = order.slice(12).reduce((total, [product]) => total + product, 0);
  if (order.length > 12) rows.push(element("tr", {}, element("th", { scope: "row" }, `${order.length - 12} others`), element("td"), element("td", { class: "number" }, short(rest))));
  const line = [`Σ products ${short(sum - bias)}`, layer.facts.bias ? ` ${signed(bias)} bias` : "", ` = ${short(sum)}`, name ? ` → ${name} → ${short(value)}` : ""].join("");
  return [element("p", { class: "equation" }, line), verdict(value, networkNumber(arrays, state)), element("table", {}, element("tbody", {}, ...rows))];
}

function bar(part) {
  const node = element("span", { class: part < 0 ? "bar negative" : "bar positive" });
  node.style.width = `${Math.abs(part) * 100}%`;
  return node;
}

function drawCopy(layer, arrays, state) {
  return [verdict(networkNumber(arrays, state), networkNumber(arrays, state))];
}
