// Puts the panels on the page, the switches to work, and, on request, the decoder to the test.
"use strict";

const content = JSON.parse(document.getElementById("content").textContent);
const options = { codes: true, ellipses: false, shade: true };
content.data.pictures = bytesOf(content.data.pixels);

const panels = content.models.map((model) => {
  const root = document.getElementById("panel").content.firstElementChild.cloneNode(true);
  root.querySelector("h2").textContent = model.title;
  root.querySelector(".about").textContent = model.about;
  root.querySelector(".plane").setAttribute("aria-label", `Latent plane of the ${model.title}`);
  document.getElementById("panels").append(root);
  return new Panel(root, model, content.data);
});

for (const name of Object.keys(options)) {
  const box = document.getElementById(name);
  box.checked = options[name];
  box.addEventListener("change", () => {
    options[name] = box.checked;
    for (const panel of panels) {
      panel.background = null;
      panel.draw();
    }
  });
}

if (content.data.labels) {
  for (const label of [...new Set(content.data.labels)].sort((a, b) => a - b)) {
    const item = document.createElement("li");
    const dot = document.createElement("span");
    dot.style.background = content.data.colours[label % content.data.colours.length];
    item.append(dot, nameOf(content.data, label));
    document.getElementById("legend").append(item);
  }
}

for (const panel of panels) {
  // Start on a datum, with a path to another, so that the page says at once what it does.
  const n = panel.mu.length / 2;
  const code = (i) => [panel.mu[2 * i], panel.mu[2 * i + 1]];
  panel.at = code(0);
  panel.path = [code(0), code(Math.floor(n / 2))];
  panel.draw();
  panel.drawStrip();
}

// The page tests itself where it is asked to (#check): the largest difference between this
// decoder and NumPy's, at the points NumPy decoded, stands in the title and in an attribute.
if (location.hash === "#check") {
  const worst = panels.map((panel) => {
    const { codes, pixels } = panel.model.proof;
    const expected = floats(pixels);
    const J = panel.model.latent;
    const D = expected.length / (floats(codes).length / J);
    let most = 0;
    for (let k = 0; k < expected.length / D; k++) {
      const got = panel.decoder.decode(floats(codes).subarray(k * J, (k + 1) * J));
      for (let d = 0; d < D; d++) most = Math.max(most, Math.abs(got[d] - expected[k * D + d]));
    }
    return most;
  });
  document.body.dataset.worst = JSON.stringify(worst);
}
