// The decoder and the two terms of the loss, by hand once more: dense layers on Float32Array, the
// same equations as minivae/models/vae.py's (E5, E7, E8, E15, E20, E22, E23).
"use strict";

class Decoder {
  // spec: {layers: [{I, O, W, b}], activation, link}; W is (I, O), row by row.
  constructor(spec) {
    this.layers = spec.layers.map((l) => ({ I: l.I, O: l.O, W: floats(l.W), b: floats(l.b) }));
    this.activation = floats(spec.activation);
    this.link = spec.link === null ? null : floats(spec.link);
    this.groups = spec.groups;
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
    return a.map((v) => lookUp(this.activation, v));
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
    if (this.groups.length > 0) return softmax(out, this.groups);
    return this.link === null ? out : out.map((v) => lookUp(this.link, v));
  }
}

// A function given by its values every STEP from -REACH to REACH, straight between and beyond.
const REACH = 20, STEP = 0.002;

function lookUp(table, v) {
  const place = (v + REACH) / STEP;
  const k = Math.min(Math.max(Math.floor(place), 0), table.length - 2);
  return table[k] + (place - k) * (table[k + 1] - table[k]);
}

// The probabilities of each group of outputs.
function softmax(out, groups) {
  const p = new Float32Array(out.length);
  let start = 0;
  for (const size of groups) {
    const a = out.subarray(start, start + size);
    const top = a.reduce((m, v) => Math.max(m, v), -Infinity);
    const total = a.reduce((sum, v) => sum + Math.exp(v - top), 0);
    a.forEach((v, i) => (p[start + i] = Math.exp(v - top) / total));
    start += size;
  }
  return p;
}

// -log p(x | z) in nats from the decoder's output; null where the page does not know p   (E20, E23)
// deviation: of columns that were standardised, whose variances are c s². log p(x) = log p(x/s) - Σ log s.
function nllOf({ likelihood, logc }, deviation, out, x) {
  if (likelihood === "gaussian") {
    const s = deviation ?? x.map(() => 1);
    const square = x.reduce((sum, v, d) => sum + ((out[d] - v) / s[d]) ** 2, 0);
    const volume = s.reduce((sum, v) => sum + Math.log(v), 0);
    return 0.5 * (x.length * (Math.log(2 * Math.PI) + logc) + Math.exp(-logc) * square) + volume;
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
