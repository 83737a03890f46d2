// ---- memory.js: what is kept for backward, over one training step ----

// A staircase: it rises in the forward pass, layer by layer, and falls in the backward pass, in reverse.
function drawMemory(state) {
  const place = byId("memory");
  place.hidden = state.mode !== "memory";
  if (place.hidden) return;
  const { kept, peak } = DATA.memory;
  const steps = LAYERS.map((layer, number) => ({ layer, number })).slice(1);
  const [width, height, left, bottom] = [900, 240, 70, 24];
  const x = (n) => left + ((width - left - 10) * n) / (2 * steps.length);
  const y = (size) => height - bottom - ((height - bottom - 26) * size) / peak;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Memory over one training step: it rises to ${bytes(kept)} in the forward pass, and falls to nothing in the backward pass; the peak is ${bytes(peak)}` });
  for (const size of [0, kept / 2, kept]) picture.append(svg("line", { class: "rule", x1: left, x2: width - 10, y1: y(size), y2: y(size) }), svg("text", { x: left - 6, y: y(size) + 4, "text-anchor": "end" }, bytes(Math.round(size))));
  picture.append(svg("line", { class: "rule peak", x1: left, x2: width - 10, y1: y(peak), y2: y(peak) }), svg("text", { x: left + 4, y: y(peak) - 6 }, `peak ${bytes(peak)}`));
  let held = 0;
  steps.forEach(({ layer, number }, n) => {
    const before = held;
    held += layer.costs ? layer.costs.kept : 0;
    for (const place of [n, 2 * steps.length - 1 - n]) picture.append(stair(layer, number, x(place), x(1) - x(0), y(held), y(before), y(0)));
  });
  picture.append(svg("text", { x: x(steps.length / 2), y: height - 6, "text-anchor": "middle" }, "forward →"), svg("text", { x: x(1.5 * steps.length), y: height - 6, "text-anchor": "middle" }, "backward →"));
  const words = `One training step with one image, layer by layer. The bright part of each bar is what that layer adds, and what its backward releases. At the peak there are also up to three gradients beside it, each as large as the largest map: ${bytes(peak)} in all. For a batch, multiply by its size; weights, their gradients and the optimizer come on top.`;
  place.replaceChildren(picture, element("figcaption", { class: "note" }, words));
}

function stair(layer, number, left, width, top, middle, foot) {
  const group = svg("g", { class: "stair", "data-layer": number }, svg("title", {}, `${layer.name}: ${bytes(layer.costs ? layer.costs.kept : 0)}`));
  group.append(svg("rect", { class: "held", x: left, y: middle, width: width - 0.5, height: foot - middle }));
  group.append(svg("rect", { class: "added", x: left, y: top, width: width - 0.5, height: middle - top }));
  return group;
}
