// ---- ablation.js: the answer without a part of the network, computed beforehand ----

const ANSWERS = DATA.answers;

function startAblation() {
  const slider = byId("part");
  slider.max = ANSWERS.length - 1;
  slider.addEventListener("input", () => drawAblation(Number(slider.value)));
  byId("parts").replaceChildren(...ANSWERS.map((answer, n) => element("button", { type: "button", "data-part": n }, answer.without)));
  byId("parts").addEventListener("click", (event) => {
    const button = event.target.closest("[data-part]");
    if (button) drawAblation(Number(button.dataset.part));
  });
  byId("key").replaceChildren(...DATA.key.map(([name, color]) => legendEntry(color, name)));
  drawAblation(0);
}

function drawAblation(n) {
  const answer = ANSWERS[n];
  byId("part").value = n;
  byId("part").setAttribute("aria-valuetext", answer.without);
  byId("part-name").textContent = answer.without;
  for (const button of byId("parts").children) button.setAttribute("aria-pressed", Number(button.dataset.part) === n);
  const figures = [picture("The whole network", [ANSWERS[0].url], ANSWERS[0].says)];
  if (n > 0) {
    figures.push(picture(`Without ${answer.without}`, [answer.url], answer.says));
    figures.push(picture("Pixels that change", [answer.difference], ""));
  }
  byId("answers").replaceChildren(...figures);
  byId("answer-text").textContent = n > 0 ? changeInWords(answer) : "Move the slider: the whole network's answer is shown beside the one without a part.";
  markRemoved(answer.cut);
}

function picture(title, overlays, words) {
  const place = element("div", { class: "picture" }, element("img", { src: DATA.image.url, alt: "" }), ...overlays.filter(Boolean).map((url) => element("img", { src: url, alt: `${title}: ${words}` })));
  shape(place, DATA.image.height, DATA.image.width);
  return element("figure", {}, element("figcaption", {}, title), place, element("p", { class: "note" }, words));
}

// What is compared, pixel by pixel: of objects, only whether there is one.
const COMPARED = { binary: "the answer", instance: "what is object and what is background", semantic: "the class", panoptic: "the class" };

function changeInWords({ without, changed }) {
  const total = DATA.image.height * DATA.image.width;
  if (changed === 0) return `Without ${without}, ${COMPARED[DATA.task]} changes at no pixel.`;
  const percent = (100 * changed) / total;
  const part = percent < 0.1 ? "less than 0.1%" : `${percent.toFixed(1)}%`;
  return `Without ${without}, ${COMPARED[DATA.task]} changes at ${plural(changed, "pixel")} of ${total.toLocaleString("en-US")}, ${part}.`;
}
