// ---- maps.js: the feature maps of a layer as thumbnails, and one of them enlarged ----

// Returns which half of a concatenation a channel belongs to: "up", "skip", or "" elsewhere.
function halfOf(layer, channel) {
  if (layer.kind !== "Concatenate") return "";
  return channel < layer.facts.halves[0] ? "up" : "skip";
}

function drawThumbnails(state) {
  const layer = LAYERS[state.layer];
  const buttons = layer.maps.map((channel, n) => {
    const canvas = element("canvas", { "aria-hidden": "true" });
    paintMap(canvas, layer, n, state.mode);
    const half = halfOf(layer, channel);
    const words = half ? (half === "up" ? ", upsampled" : ", from the skip") : "";
    const button = element("button", { type: "button", class: `thumbnail ${half}`, "aria-pressed": n === state.map, "aria-label": `map ${channel}${words}`, "data-map": n }, canvas, element("span", {}, String(channel)));
    return button;
  });
  byId("thumbnails").replaceChildren(...buttons);
}

// The chosen map, with a mark at the chosen pixel and dots at the other pixels whose numbers are in the page.
async function drawMap(state) {
  const layer = LAYERS[state.layer];
  const [H, W] = layer.shape;
  const place = byId("map");
  place.style.aspectRatio = `${W} / ${H}`;
  await paintMap(place.querySelector("canvas"), layer, state.map, state.mode);
  const [i, j] = pixelOf(state);
  const marks = place.querySelector("svg");
  marks.setAttribute("viewBox", `0 0 ${W} ${H}`);
  const dots = [];
  if (layer.rows.length * layer.columns.length < H * W) {
    for (const row of layer.rows) for (const column of layer.columns) dots.push(`M${column + 0.5} ${row + 0.5}h0`);
  }
  const size = Math.max(1, H / 40);
  marks.replaceChildren(
    svg("path", { d: dots.join(""), class: "dots" }),
    svg("rect", { class: "mark", x: j + 0.5 - size / 2, y: i + 0.5 - size / 2, width: size, height: size }),
  );
}

// Returns (row, column) of the chosen pixel in its map.
function pixelOf(state) {
  const layer = LAYERS[state.layer];
  return [layer.rows[state.row], layer.columns[state.column]];
}
