// ---- numbers.js: the numbers in this file, and small helpers ----

const DATA = JSON.parse(document.getElementById("data").textContent);
const LAYERS = DATA.layers;
const unpacked = new Map(); // layer → promise of its arrays: a layer is unpacked when it is first looked at

// Returns {name: {shape, values}} of a layer: base64 → deflate → float32, the reverse of encoding.py.
function numbersOf(layer) {
  if (!unpacked.has(layer)) unpacked.set(layer, unpack(layer.numbers));
  return unpacked.get(layer);
}

async function unpack({ blob, arrays }) {
  const text = document.getElementById(`blob-${blob}`).textContent;
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const view = new DataView(await new Response(stream).arrayBuffer());
  const found = {};
  let start = 0;
  for (const [name, shape] of Object.entries(arrays)) {
    const size = shape.reduce((a, b) => a * b, 1);
    const values = new Float32Array(size);
    for (let n = 0; n < size; n++) values[n] = view.getFloat32(4 * (start + n), true);
    found[name] = { shape, values };
    start += size;
  }
  return found;
}

// Returns array[index], for as many indices as there are axes.
function at({ shape, values }, ...index) {
  return values[index.reduce((place, i, axis) => place * shape[axis] + i, 0)];
}

// Returns the place of the number in the rising list that is nearest to the value.
function nearest(list, value) {
  let best = 0;
  list.forEach((n, place) => {
    if (Math.abs(n - value) < Math.abs(list[best] - value)) best = place;
  });
  return best;
}

// ---- words ----

// Returns a number with four digits, or as many as given.
function short(value, digits = 4) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(digits)));
  return text.replace(/-/g, "−");
}

function plural(count, noun) {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

function bytes(count) {
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} MB`;
  return count >= 1e3 ? `${(count / 1e3).toFixed(1)} kB` : `${count} bytes`;
}

function quantity(count) {
  for (const [size, word] of [[1e9, "billion"], [1e6, "million"]]) {
    if (count >= size) return `${(count / size).toFixed(2)} ${word}`;
  }
  return count.toLocaleString("en-US");
}

// Returns an element: element("button", {type: "button"}, "text", otherElement)
function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Gives a place for pictures the proportions of H x W, and limits its height: some images are very tall.
function shape(place, H, W) {
  place.style.aspectRatio = `${W} / ${H}`;
  place.style.maxWidth = `min(26rem, ${(34 * W) / H}rem)`;
}

const byId = (id) => document.getElementById(id);
