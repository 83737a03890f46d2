// ---- colors.js: from gray pictures in the file to colors on a canvas ----

// The anchors of two color scales, both readable by the color-blind: dark to bright for activations; blue for below
// zero and orange for above, for gradients.
const RISING = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const AROUND_ZERO = {
  light: [[0, 68, 136], [66, 133, 190], [160, 196, 222], [245, 245, 245], [250, 200, 140], [230, 130, 40], [150, 66, 0]],
  dark: [[120, 190, 255], [60, 130, 200], [30, 70, 110], [26, 26, 30], [110, 66, 20], [210, 120, 30], [255, 190, 110]],
};
const HEAT = [[0, 0, 0, 0], [120, 20, 90, 110], [220, 60, 60, 170], [255, 170, 30, 210], [255, 250, 160, 235]];

// Returns 256 colors [r, g, b, a] between the anchors.
function scale(anchors) {
  return Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (anchors.length - 1);
    const low = Math.min(Math.floor(place), anchors.length - 2);
    const mixed = anchors[low].map((a, n) => a + (place - low) * (anchors[low + 1][n] - a));
    return mixed.length === 4 ? mixed : [...mixed, 255];
  });
}

const rising = scale(RISING);
const heat = scale(HEAT);
const aroundZero = { light: scale(AROUND_ZERO.light), dark: scale(AROUND_ZERO.dark) };

const decoded = new Map(); // data URL → promise of {width, height, levels}

// Returns the gray levels, 0 to 255, of a picture in the file.
function levelsOf(url) {
  if (!decoded.has(url)) decoded.set(url, decode(url));
  return decoded.get(url);
}

async function decode(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = element("canvas", { width: image.width, height: image.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const levels = new Uint8Array(image.width * image.height);
  for (let n = 0; n < levels.length; n++) levels[n] = data[4 * n];
  return { width: image.width, height: image.height, levels };
}

// Paints picture number `n` of those that stand below each other, each `height` rows high.
function paint(canvas, { width, levels }, n, height, colors) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  for (let place = 0; place < width * height; place++) {
    picture.data.set(colors[levels[n * width * height + place]], 4 * place);
  }
  context.putImageData(picture, 0, 0);
}

// Paints one of a layer's maps as the mode shows it: what the layer wrote, or the gradient that reached it.
async function paintMap(canvas, layer, n, mode) {
  if (mode === "gradients") {
    paint(canvas, await levelsOf(layer.gradients), n, layer.gradientsSmall[0], aroundZero[theme()]);
  } else {
    paint(canvas, await levelsOf(layer.sheet), n, layer.small[0], rising);
  }
}

// ---- light and dark ----

function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

// A color as CSS has it.
const css = ([r, g, b]) => `rgb(${Math.round(r)}, ${Math.round(g)}, ${Math.round(b)})`;
