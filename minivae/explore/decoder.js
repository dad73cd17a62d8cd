// The decoder, by hand once more: dense layers on Float32Array, the same equations as
// minivae/models/vae.py's decode_mean (E5, E7, E8, E22).
"use strict";

function floats(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Float32Array(bytes.buffer);
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

class Decoder {
  // spec: {layers: [{I, O, W, b}], activation, likelihood}; W is (I, O), row by row.
  constructor(spec) {
    this.layers = spec.layers.map((l) => ({ I: l.I, O: l.O, W: floats(l.W), b: floats(l.b) }));
    this.activation = spec.activation;
    this.output = spec.output;
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
    if (this.activation === "relu") return a.map((v) => (v > 0 ? v : 0));
    if (this.activation === "tanh") return a.map(Math.tanh);
    return a;
  }

  // z, an array of J numbers -> Float32Array of D pixel means.
  decode(z) {
    let h = Float32Array.from(z);
    const last = this.layers.length - 1;
    for (let k = 0; k < last; k++) h = this.activate(this.dense(h, this.layers[k]));
    const out = this.dense(h, this.layers[last]);
    return this.output === "sigmoid" ? out.map((v) => 1 / (1 + Math.exp(-v))) : out;
  }
}
