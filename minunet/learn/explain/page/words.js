// ---- words.js: what is said about modes, layers, and the page itself ----

const LOSSES = { "bce": "binary cross entropy", "dice": "the Dice loss", "bce+dice": "half binary cross entropy, half Dice loss", "ce": "cross entropy", "ce+dice": "half cross entropy, half Dice loss", "focal": "the focal loss" };

function modeWords(mode) {
  if (mode === "memory") {
    const first = LAYERS.filter((layer) => layer.costs && layer.block.level === 1).reduce((sum, layer) => sum + layer.costs.kept, 0);
    const share = Math.round((100 * first) / DATA.memory.kept);
    return `To compute gradients, backward needs what forward has read and computed; so it is kept. For one image of this size that is ${bytes(DATA.memory.kept)}. The color of a block is its part of it. Level 1, where the maps are largest, keeps ${share}% of it.`;
  }
  if (mode === "gradients") {
    const { name, value, own } = DATA.loss;
    const target = own
      ? "Nobody has told this page the true answer (--mask FILE does), so the network's own answer is the target. The loss then says how unsure the network is of it, and the gradient is large where it hesitates."
      : "The target is the mask that was given, as in training.";
    return `∂L/∂y: how the loss would change if a number in a map grew. The loss L is ${LOSSES[name] || name}, here ${short(value)}. ${target} Batch normalization and dropout, where there are any, do as in prediction.`;
  }
  return "What each layer has computed for this image, dark for its lowest number and bright for its highest, map by map.";
}

function layerWords(layer) {
  const [KH, KW] = layer.facts.kernel || [];
  const source = layer.sources.length ? LAYERS[layer.sources[0]] : null;
  const words = {
    Image: () => `What the network reads: red, green and blue, each from 0 to 1.${mirroredWords()}`,
    Conv2D: () => convolutionWords(layer, source, KH, KW),
    ConvTranspose2D: () => `A convolution, run in the other direction: each pixel of the ${source.shape[2]} maps of ${source.name} paints a tile of ${KH} × ${KW} pixels, so the result is ${layer.facts.stride[0] === 2 ? "twice" : `${layer.facts.stride[0]} times`} as high and wide.`,
    MaxPool2D: () => `Of each ${KH} × ${KW} pixels only the largest number is passed on. The maps are half as high and wide, and each step from pixel to pixel covers twice as much of the image; where the number stood is forgotten.`,
    Concatenate: () => `Two stacks of maps are put one behind the other: ${plural(layer.facts.halves[0], "map")} from below, which tell what is there, and ${layer.facts.halves[1]} across the skip connection, which still tell where. The next convolution has weights of its own for each.`,
    BatchNorm: () => `Each map is shifted and scaled, so that in training its numbers, over the images of a batch, have mean β and standard deviation |γ|${layer.facts.activation === "relu" ? "; then ReLU sets to 0 what is below 0" : ""}.`,
    Dropout: () => `In training, maps or numbers are set to 0 at random, with probability ${short(layer.facts.rate)}. In prediction, as here, everything passes unchanged.`,
    Crop: () => `Convolutions without padding have made the maps from below smaller: the skip's are cut to the same size, ${layer.facts.top} rows and ${layer.facts.left} columns on each side.`,
    CropLike: () => "What lies beyond the image's own edges is cut off.",
    Mirror: () => "The image is continued beyond its edges by its mirror image, by as much as the convolutions without padding will cut off, or a little more: not every size can be halved so often.",
  };
  return words[layer.kind] ? words[layer.kind]() : "";
}

// A UNet halves the size again and again, so its image is made as large as that needs.
function mirroredWords() {
  const { height, width, own } = DATA.image;
  const added = [[height - own[0], "row", "bottom"], [width - own[1], "column", "right"]].filter(([count]) => count > 0);
  if (!added.length) return "";
  return ` The image has ${own[0]} × ${own[1]} pixels; so that its size can be halved often enough, ${added.map(([count, noun, side]) => `${plural(count, noun)} at the ${side}`).join(" and ")} repeat it as a mirror would.`;
}

function convolutionWords(layer, source, KH, KW) {
  const window = KH * KW === 1 ? `one pixel of all ${plural(source.shape[2], "map")}` : `a window of ${KH} × ${KW} pixels in all ${plural(source.shape[2], "map")}`;
  const then = { relu: " ReLU then sets to 0 what is below 0.", sigmoid: " A sigmoid makes a probability of it.", softmax: " A softmax makes probabilities of the classes." }[layer.facts.activation] || "";
  return `Each number is a weighted sum over ${window} of ${source.name}. ${layer.shape[2] === 1 ? "The one map here has" : `Each of the ${layer.shape[2]} maps here has its own`} ${KH} × ${KW} × ${source.shape[2]} weights${layer.facts.bias ? " and a bias" : ""}, the same at every pixel.${then}`;
}

function rulesWords() {
  const { maps, whole, windows } = DATA.rules;
  const { width, height } = DATA.image;
  return `All numbers are the network's own, for this image of ${width} × ${height} pixels, in float32, as it predicts. Not all of them fit into a file. Of each layer at most ${maps} maps are here, those whose numbers vary most; of a concatenation, about half of them from each side. Where all that a convolution reads and writes in them takes at most ${bytes(whole)}, every pixel can be looked into; elsewhere a grid of pixels, with ${bytes(windows)} of windows. Pictures of maps have at most 128 pixels a side. Written by minunet ${DATA.version}.`;
}
