// Puts the panels on the page, the switches to work, and, on request, the decoder to the test.
"use strict";

wearTheme(preferredTheme());
const content = JSON.parse(document.getElementById("content").textContent);
const shown = { codes: true, ellipses: true, prior: true, shade: true };
const data = { ...content.data, x: floats(content.data.pixels) };

const panels = content.models.map((model) => {
  const root = document.getElementById("panel").content.firstElementChild.cloneNode(true);
  root.querySelector("h2").textContent = model.title;
  root.querySelector(".about").textContent = model.about;
  root.querySelector(".plane").setAttribute("aria-label", `Latent plane of the ${model.title}`);
  document.getElementById("panels").append(root);
  return new Panel(root, model, data, shown, choose);
});

// The same datum is chosen in every panel; all but the one that chose put z one draw from its mean,
// on the side of the plane's middle, so that it lies in the plane.
function choose(i, by = null) {
  for (const panel of panels) {
    panel.chosen = i;
    if (i !== null && panel !== by) panel.at = panel.drawn(i, panel.inwards(i, [0.8, 0.6]));
    panel.draw();
    panel.drawStrip();
  }
}

for (const name of Object.keys(shown)) {
  const box = document.getElementById(name);
  box.checked = shown[name];
  box.addEventListener("change", () => {
    shown[name] = box.checked;
    for (const panel of panels) panel.redraw();
  });
}

document.getElementById("theme").addEventListener("click", () => {
  wearTheme(theme() === "dark" ? "light" : "dark");
  showLegend();
  for (const panel of panels) panel.redraw();
});

function showLegend() {
  if (!data.labels) return;
  const items = [...new Set(data.labels)].sort((a, b) => a - b).slice(0, 20).map((label) => {
    const [item, mark] = [document.createElement("li"), document.createElement("span")];
    mark.style.background = labelColour(label);
    item.append(mark, nameOf(data, label));
    return item;
  });
  document.getElementById("legend").replaceChildren(...items);
}

showLegend();
// Start with a datum chosen and a path to one of another kind, so that the page says what it does.
for (const panel of panels) panel.path = content.path.map((i) => panel.plane.inPlane(panel.plane.mu, i));
choose(content.path[0]);

// The page tests itself where it is asked to (#check): the largest difference between this
// decoder and NumPy's, at the points NumPy decoded, stands in an attribute of the body.
if (location.hash === "#check") {
  const worst = panels.map((panel) => {
    const { codes, pixels } = panel.model.proof;
    const [z, expected] = [floats(codes), floats(pixels)];
    const J = panel.model.latent;
    const D = expected.length / (z.length / J);
    let most = 0;
    for (let k = 0; k < expected.length / D; k++) {
      const got = panel.decoder.decode(z.subarray(k * J, (k + 1) * J));
      for (let d = 0; d < D; d++) most = Math.max(most, Math.abs(got[d] - expected[k * D + d]));
    }
    return most;
  });
  document.body.dataset.worst = JSON.stringify(worst);
}
