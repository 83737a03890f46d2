// ---- sums.js: a layer's arithmetic at one pixel, done again from the numbers in the page ----

// Returns {products, bias, sum} of a convolution: products[c] is the sum over the window in channel c.
function convolve(layer, arrays, state, filter) {
  const [KH, KW] = layer.facts.kernel;
  const products = new Array(arrays.weights.shape[3]).fill(0);
  for (let k = 0; k < KH; k++) {
    for (let l = 0; l < KW; l++) {
      products.forEach((_, c) => (products[c] += (read(layer, arrays, state, k, l, c) || 0) * at(arrays.weights, filter, k, l, c)));
    }
  }
  const bias = at(arrays.bias, filter);
  return { products, bias, sum: products.reduce((a, b) => a + b, 0) + bias };
}

// Returns what the layer read under tap (k, l) of the window, channel c; null outside of the map.
function read(layer, arrays, state, k, l, c) {
  const place = tapSource(layer, pixelOf(state), k, l);
  if (!place || !inside(layer, place)) return null;
  return arrays.windows ? at(arrays.windows, state.row, state.column, k, l, c) : at(arrays.input, ...place, c);
}

// Whether (row, column) is a pixel of what the layer reads: not padding.
function inside(layer, [row, column]) {
  const [H, W] = LAYERS[layer.sources[0]].shape;
  return row >= 0 && row < H && column >= 0 && column < W;
}

// Returns the (row, column) of the input under tap (k, l) for the output pixel (i, j); null if a transposed
// convolution does not reach the pixel through this tap.
function tapSource(layer, [i, j], k, l) {
  const { stride, pads } = layer.facts;
  if (layer.kind !== "ConvTranspose2D") return [i * stride[0] + k - pads[0][0], j * stride[1] + l - pads[1][0]];
  const [down, across] = [i + pads[0][0] - k, j + pads[1][0] - l];
  return down % stride[0] || across % stride[1] ? null : [down / stride[0], across / stride[1]];
}

// Returns the number of a convolution at the chosen pixel, with all that leads to it.
function accountOfConvolution(layer, arrays, state) {
  const filter = layer.facts.filters.indexOf(layer.maps[state.map]);
  const account = convolve(layer, arrays, state, filter);
  if (layer.facts.activation !== "softmax") return { ...account, filter, value: activate(layer.facts.activation, account.sum) };
  const logits = layer.facts.filters.map((_, other) => convolve(layer, arrays, state, other).sum);
  const largest = Math.max(...logits);
  const powers = logits.map((z) => Math.exp(z - largest)); // e^(z - largest): the same quotient, and no overflow
  const total = powers.reduce((a, b) => a + b, 0);
  return { ...account, filter, logits, probabilities: powers.map((power) => power / total), value: powers[filter] / total };
}

function activate(name, z) {
  if (name === "relu") return Math.max(z, 0);
  return name === "sigmoid" ? 1 / (1 + Math.exp(-z)) : z;
}

const ACTIVATION_WORDS = { relu: "ReLU: max(z, 0)", sigmoid: "sigmoid: 1 / (1 + e⁻ᶻ)", softmax: "softmax: eᶻ / Σ eᶻ over the classes" };

// Returns the window (KH, KW) that a pooling compares, null for padding, and the place of the largest number: the
// first of several, as in max_pool2d.py.
function accountOfPooling(layer, arrays, state) {
  const [KH, KW] = layer.facts.kernel;
  const window = Array.from({ length: KH }, (_, k) => Array.from({ length: KW }, (__, l) => at(arrays.windows, state.row, state.column, k, l, state.map)));
  let best = null;
  window.forEach((row, k) => row.forEach((value, l) => {
    if (!Number.isNaN(value) && (best === null || value > window[best[0]][best[1]])) best = [k, l];
  }));
  return { window, best, value: window[best[0]][best[1]] };
}

// Returns x, the constants of a batch normalization, z = γ (x − μ) / √(v + ε) + β, and what the activation makes of z.
function accountOfBatchNorm(layer, arrays, state) {
  const x = at(arrays.x, state.row, state.column, state.map);
  const [mean, variance, gamma, beta] = ["moving_mean", "moving_variance", "gamma", "beta"].map((name) => at(arrays[name], state.map));
  const z = (gamma * (x - mean)) / Math.sqrt(variance + layer.facts.epsilon) + beta;
  return { x, mean, variance, gamma, beta, z, value: activate(layer.facts.activation, z) };
}

// Returns the number that the network has computed.
function networkNumber(arrays, state) {
  return at(arrays.values, state.row, state.column, state.map);
}

// Returns where a layer that only moves numbers has this one from: {layer, channel, pixel}.
function originOf(layer, state) {
  const [i, j] = pixelOf(state);
  const channel = layer.maps[state.map];
  if (layer.kind === "Concatenate") {
    const up = layer.facts.halves[0];
    return channel < up ? { layer: layer.sources[0], channel, pixel: [i, j] } : { layer: layer.sources[1], channel: channel - up, pixel: [i, j] };
  }
  if (layer.kind === "Mirror") return { layer: layer.sources[0], channel, pixel: [layer.facts.from[0][i], layer.facts.from[1][j]] };
  const { top = 0, left = 0 } = layer.facts;
  return { layer: layer.sources[0], channel, pixel: [i + top, j + left] };
}
