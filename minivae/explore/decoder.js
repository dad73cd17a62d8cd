// The decoder and the two terms of the loss, by hand once more: dense layers on Float32Array, the
// same equations as minivae/models/vae.py's (E5, E7, E8, E15, E20, E22, E23).
"use strict";

class Decoder {
  // spec: {layers: [{I, O, W, b}], activation, link}; W is (I, O), row by row.
  constructor(spec) {
    this.layers = spec.layers.map((l) => ({ I: l.I, O: l.O, W: floats(l.W), b: floats(l.b) }));
    this.activation = spec.activation;
    this.link = spec.link;
  }

  // y = x W + b, added up in double precision and rounded once.
  dense(x, { I, O, W, b }) {
    const sum = Float64Array.from(b);
    for (let i = 0; i < I; i++) {
      const xi = x[i];
      if (xi === 0) continue; // half the ReLUs are silent
      const row = i * O;
      for (let o = 0; o < O; o++) sum[o] += xi * W[row + o];
    }
    return Float32Array.from(sum);
  }

  activate(a) {
    return this.activation === "relu" ? a.map((v) => (v > 0 ? v : 0)) : a.map(Math.tanh);
  }

  // z, an array of J numbers -> the decoder's output, Float32Array of D.
  output(z) {
    let h = Float32Array.from(z);
    const last = this.layers.length - 1;
    for (let k = 0; k < last; k++) h = this.activate(this.dense(h, this.layers[k]));
    return this.dense(h, this.layers[last]);
  }

  // z -> Float32Array of D pixel means.
  decode(z) {
    const out = this.output(z);
    return this.link === "sigmoid" ? out.map((v) => 1 / (1 + Math.exp(-v))) : out;
  }
}

// -log p(x | z) in nats from the decoder's output; null where the page does not know p   (E20, E23)
function nllOf({ likelihood, logc }, out, x) {
  if (likelihood === "gaussian") {
    const square = squaredError(out, x);
    return 0.5 * (x.length * (Math.log(2 * Math.PI) + logc) + Math.exp(-logc) * square);
  }
  if (likelihood !== "bernoulli") return null;
  return out.reduce((sum, a, i) => sum + Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a))) - x[i] * a, 0);
}

// KL of N(mu, sd²) from N(0, 1), summed over the latent dimensions, nats   (E15)
function klOf(mu, sd) {
  return mu.reduce((sum, m, j) => sum + 0.5 * (m * m + sd[j] * sd[j] - 1 - 2 * Math.log(sd[j])), 0);
}

function squaredError(a, b) {
  return a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0);
}
