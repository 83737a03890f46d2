// ---- fields.js: what a pixel sees of the image ----

let fieldsAsked = 0; // as in shown.js

async function drawField(state) {
  const asked = ++fieldsAsked;
  const layer = LAYERS[state.layer];
  const { height, width, url } = DATA.image;
  const place = byId("photograph");
  const photograph = place.querySelector("img");
  if (!photograph.src) photograph.src = url;
  shape(place, height, width);
  const [i, j] = pixelOf(state);
  const box = layer.field ? boxOf(layer.field, i, j) : [i, j, i + 1, j + 1];
  const frame = { x: box[1], y: box[0], width: box[3] - box[1], height: box[2] - box[0] };
  const marks = place.querySelector("svg");
  marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  marks.replaceChildren(svg("rect", { class: "mark-edge", ...frame }), svg("rect", { class: "mark", id: "field-box", ...frame }), ...placesOf(layer, i, j));
  byId("field-note").textContent = fieldNote(layer, box, i, j);
  const canvas = element("canvas");
  canvas.hidden = !(await drawHeat(layer.field, canvas, i, j));
  if (asked === fieldsAsked) place.querySelector("canvas").replaceWith(canvas);
}

// A cross where the chosen pixel itself lies in the image, and a ring where the position of the heat map does, if it is
// another. Only where maps lie over the image as a whole: valid convolutions shift them.
const OVER_THE_IMAGE = DATA.model === "UNet";

function placesOf(layer, i, j) {
  if (!OVER_THE_IMAGE || !layer.field) return [];
  const { height, width } = DATA.image;
  const where = ([row, column]) => [((row + 0.5) * height) / layer.shape[0], ((column + 0.5) * width) / layer.shape[1]];
  const size = Math.max(height, width) / 40;
  const [y, x] = where([i, j]);
  const cross = { d: `M${x - size} ${y}h${2 * size}M${x} ${y - size}v${2 * size}` };
  const found = [svg("path", { class: "mark-edge", ...cross }), svg("path", { class: "mark", ...cross })];
  if (layer.field.heats) {
    const { place } = heatOf(layer.field, i, j);
    const [cy, cx] = where(place);
    if (place[0] !== i || place[1] !== j) found.push(svg("circle", { class: "mark-edge", cx, cy, r: 2.2 * size }), svg("circle", { class: "mark ring", cx, cy, r: 2.2 * size }));
  }
  return found;
}

// Returns [top, left, bottom, right] of the pixels of the image on which pixel (i, j) can depend.
function boxOf({ boxes: [tops, bottoms, lefts, rights] }, i, j) {
  return [tops[i], lefts[j], bottoms[i], rights[j]];
}

// Returns the heat map that is nearest to (i, j): its number in the sheet, its position, and its part of the image.
function heatOf(field, i, j) {
  const [row, column] = [nearest(field.heatRows, i), nearest(field.heatColumns, j)];
  const [height, width] = field.extent;
  return { n: row * field.heatColumns.length + column, place: [field.heatRows[row], field.heatColumns[column]], box: [field.tops[row], field.lefts[column], height, width] };
}

// Paints how much each pixel of the image matters at the position that is nearest to (i, j). Returns whether it did.
async function drawHeat(field, canvas, i, j) {
  if (!field || !field.heats) return false;
  const { n, box } = heatOf(field, i, j);
  paint(canvas, await levelsOf(field.heats), n, field.heatHeight, heat);
  const { height, width } = DATA.image;
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign(canvas.style, { top: percent(box[0], height), left: percent(box[1], width), height: percent(box[2], height), width: percent(box[3], width) });
  return true;
}

function fieldNote(layer, box, i, j) {
  if (!layer.field) return "This is the image itself: each pixel sees itself.";
  const [rows, columns] = [box[2] - box[0], box[3] - box[1]];
  const { height, width } = DATA.image;
  const cross = OVER_THE_IMAGE ? "The cross is where the pixel itself lies. " : "";
  const words = cross + (rows === height && columns === width
    ? "The receptive field is the whole image: every pixel of it may count. "
    : `The frame is the receptive field: nothing outside of these ${rows} × ${columns} pixels can change the number. `);
  if (!layer.field.heats) return `${words}The heat map is left out: for this layer it would take long to compute.`;
  const { place } = heatOf(layer.field, i, j);
  const where = place[0] === i && place[1] === j ? "" : ` What is shown is that of row ${place[0]}, column ${place[1]}, the nearest in this page${OVER_THE_IMAGE ? ": the ring is there" : ""}.`;
  return `${words}The colors are the effective field: the brighter a pixel of the image, the more a small change of it would change the maps of this layer here (the square root of the gradient's size, all maps together${hasLogits(layer) ? ", before the activation" : ""}).${where}`;
}
