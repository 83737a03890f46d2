// ---- fields.js: what a pixel has seen of the image ----

async function drawField(state) {
  const layer = LAYERS[state.layer];
  const place = byId("photograph");
  const { height, width, url } = DATA.image;
  const photograph = place.querySelector("img");
  if (photograph.src !== url) photograph.src = url;
  place.style.aspectRatio = `${width} / ${height}`;
  const marks = place.querySelector("svg");
  marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  marks.replaceChildren();
  const canvas = place.querySelector("canvas");
  canvas.hidden = true;
  const [i, j] = pixelOf(state);
  const box = layer.field ? fieldBox(layer.field, i, j) : [i, j, i + 1, j + 1];
  marks.append(svg("rect", { class: "field-box", x: box[1], y: box[0], width: box[3] - box[1], height: box[2] - box[0] }));
  if (layer.field && layer.field.heats) await drawHeat(layer.field, canvas, i, j);
}

function fieldBox({ boxes: [tops, bottoms, lefts, rights] }, i, j) {
  return [tops[i], lefts[j], bottoms[i], rights[j]];
}

// The heat map of the position that is nearest to (i, j).
async function drawHeat(field, canvas, i, j) {
  const [row, column] = [nearest(field.heatRows, i), nearest(field.heatColumns, j)];
  const { box, url } = field.heats[row * field.heatColumns.length + column];
  if (!url) return;
  const picture = await levelsOf(url);
  paint(canvas, picture, 0, picture.height, heat);
  const { height, width } = DATA.image;
  Object.assign(canvas.style, { top: `${(100 * box[0]) / height}%`, left: `${(100 * box[1]) / width}%`, height: `${(100 * (box[2] - box[0])) / height}%`, width: `${(100 * (box[3] - box[1])) / width}%` });
  canvas.hidden = false;
}
