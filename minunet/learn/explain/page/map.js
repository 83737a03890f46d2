// ---- map.js: one feature map, enlarged ----

let mapsAsked = 0; // as in shown.js

// The chosen map, with a frame around the chosen pixel and dots at the other pixels whose numbers are in the page.
async function drawMap(state) {
  const asked = ++mapsAsked;
  const layer = LAYERS[state.layer];
  const [H, W] = layer.shape;
  const place = byId("map");
  shape(place, H, W);
  const canvas = element("canvas");
  const [i, j] = pixelOf(state);
  drawMarks(place.querySelector("svg"), layer, i, j);
  byId("map-title").textContent = mapTitle(layer, state);
  byId("map-note").textContent = mapNote(layer, state, i, j);
  await paintMap(canvas, layer, state.map, state.mode);
  if (asked === mapsAsked) place.querySelector("canvas").replaceWith(canvas);
}

function drawMarks(marks, layer, i, j) {
  const [H, W] = layer.shape;
  marks.setAttribute("viewBox", `0 0 ${W} ${H}`);
  let dots = "";
  if (!everyPixel(layer)) for (const row of layer.rows) for (const column of layer.columns) dots += `M${column + 0.5} ${row + 0.5}h0`;
  const size = Math.max(1, Math.max(H, W) / 40);
  const frame = { x: j + 0.5 - size / 2, y: i + 0.5 - size / 2, width: size, height: size };
  marks.replaceChildren(svg("path", { d: dots, class: "dots" }), svg("rect", { class: "mark-edge", ...frame }), svg("rect", { class: "mark", ...frame }));
}

const everyPixel = (layer) => layer.rows.length * layer.columns.length === layer.shape[0] * layer.shape[1];

function mapTitle(layer, state) {
  const name = `${mapName(layer, layer.maps[state.map])} of ${layer.name}`;
  return state.mode === "gradients" ? `∂L/∂y in ${name}` : name;
}

function mapNote(layer, state, i, j) {
  const range = state.mode === "gradients"
    ? `Blue is below 0, orange above: from ${short(-layer.steepest[state.map])} to ${short(layer.steepest[state.map])}, which 99.5% of the gradients do not exceed.`
    : `Dark to bright: from ${short(layer.low[state.map])} to ${short(layer.high[state.map])}.`;
  const chosen = `Chosen: row ${i}, column ${j}.`;
  const held = everyPixel(layer)
    ? "Click a pixel, or use the arrow keys."
    : "The numbers behind the dotted pixels are in this page: a click goes to the nearest of them, arrow keys to the next.";
  return `${chosen} ${held} ${range}`;
}

// Returns (row, column) of the chosen pixel in its map.
function pixelOf(state) {
  const layer = LAYERS[state.layer];
  return [layer.rows[state.row], layer.columns[state.column]];
}
