// One datum's walk through the network: forward with a chosen ε, and back.
"use strict";

// x (1, D), eps [ε₁, ε₂] -> {loss, cache, g}; an autoencoder has no noise.
function walkOf(training, x, eps) {
  const noise = new Tensor([1, 1, 2], Float64Array.from(MODELS[training.settings.model].noise ? eps : [0, 0]));
  training.config.c = training.settings.c;
  const [loss, cache] = elboForward(training.K, training.p, x, noise, training.beta, training.config);
  return { loss, cache, g: elboBackward(training.K, cache, training.p, training.config) };
}

// The table beneath the picture: what each path brings to μ and log σ², and the sum.
function showPaths(walk, noisy) {
  const { dmuZ, dmuKl, dmu, dlogvarZ, dlogvarKl, dlogvar } = walk.g.path;
  const { mu, logvar } = walk.cache;
  const rows = [
    ["μ₁", mu, dmuZ, dmuKl, dmu, 0], ["μ₂", mu, dmuZ, dmuKl, dmu, 1],
    ["log σ₁²", logvar, dlogvarZ, dlogvarKl, dlogvar, 0], ["log σ₂²", logvar, dlogvarZ, dlogvarKl, dlogvar, 1],
  ];
  const body = document.querySelector("#paths tbody");
  body.replaceChildren(
    ...rows.map(([name, value, rec, kl, both, j]) => {
      const line = document.createElement("tr");
      const used = noisy || value === mu; // an autoencoder has no σ
      const said = (v) => (used ? short(v, true) : "not used");
      const cells = [[name], [said(value.data[j])], [said(rec.data[j]), "rec"],
        [noisy ? said(kl.data[j]) : "not used", "kl"], [said(both.data[j]), "both"]];
      for (const [text, kind] of cells) {
        const cell = line.insertCell();
        cell.textContent = text;
        if (kind) cell.className = kind;
      }
      return line;
    }),
  );
}
