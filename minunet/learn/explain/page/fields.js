// ---- fields.js: what a pixel sees of the image ----

let fieldsAsked = 0; // as in shown.js

async function drawField(state) {
  const asked = ++fieldsAsked;
  const layer = LAYERS[state.layer];
  const { height, width, url } = DATA.image;
  const place = byId("photograph");
  const photograph = place.querySelector("img");
  if (!photograph.src) photograph.src = url;
  place.style.aspectRatio = `${width} / ${height}`;
  const [i, j] = pixelOf(state);
  const box = layer.field ? boxOf(layer.field, i, j) : [i, j, i + 1, j + 1];
  const frame = { x: box[1], y: box[0], width: box[3] - box[1], height: box[2] - box[0] };
  const marks = place.querySelector("svg");
  marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  marks.replaceChildren(svg("rect", { class: "mark-edge", ...frame }), svg("rect", { class: "mark", id: "field-box", ...frame }));
  byId("field-note").textContent = fieldNote(layer, box, i, j);
  const canvas = element("canvas");
  canvas.hidden = !(await drawHeat(layer.field, canvas, i, j));
  if (asked === fieldsAsked) place.querySelector("canvas").replaceWith(canvas);
}

// Returns [top, left, bottom, right] of the pixels of the image on which pixel (i, j) can depend.
function boxOf({ boxes: [tops, bottoms, lefts, rights] }, i, j) {
  return [tops[i], lefts[j], bottoms[i], rights[j]];
}

function heatOf(field, i, j) {
  const [row, column] = [nearest(field.heatRows, i), nearest(field.heatColumns, j)];
  return { ...field.heats[row * field.heatColumns.length + column], place: [field.heatRows[row], field.heatColumns[column]] };
}

// Paints how much each pixel of the image matters at the position that is nearest to (i, j). Returns whether it did.
async function drawHeat(field, canvas, i, j) {
  if (!field || !field.heats) return false;
  const { box, url } = heatOf(field, i, j);
  if (!url) return false;
  const picture = await levelsOf(url);
  paint(canvas, picture, 0, picture.height, heat);
  const { height, width } = DATA.image;
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign(canvas.style, { top: percent(box[0], height), left: percent(box[1], width), height: percent(box[2] - box[0], height), width: percent(box[3] - box[1], width) });
  return true;
}

function fieldNote(layer, box, i, j) {
  if (!layer.field) return "This is the image itself: each pixel sees itself.";
  const [rows, columns] = [box[2] - box[0], box[3] - box[1]];
  const { height, width } = DATA.image;
  const whole = rows === height && columns === width ? ", the whole image" : "";
  const words = `The frame is the receptive field: nothing outside of these ${rows} × ${columns} pixels${whole} can change the number. `;
  if (!layer.field.heats) return `${words}The heat map is left out: for this layer it would take long to compute.`;
  const { place, url } = heatOf(layer.field, i, j);
  const where = place[0] === i && place[1] === j ? "" : ` Here it is that of row ${place[0]}, column ${place[1]}, the nearest in this page.`;
  if (!url) return `${words}At row ${place[0]}, column ${place[1]}, the nearest position in this page, the gradient is 0: ReLU lets nothing through.`;
  return `${words}The colors are the effective field: the brighter a pixel, the more a small change there would change the maps of this layer (square root of the gradient's size, all maps together).${where}`;
}
