// All parameters in one flat buffer, each reachable as a named view: minivae/params.py, and their
// first values, minivae/models/initialise.py.
"use strict";

// [name, shape] of each tensor in order: encoder, heads, decoder.
function layoutOf(config) {
  const { dataDim: D, latentDim: J, hidden } = config;
  const found = [];
  const dense = (name, I, O) => found.push([`${name}.W`, [I, O]], [`${name}.b`, [O]]);
  const trunk = [D, ...hidden];
  const mirror = [J, ...[...hidden].reverse()];
  hidden.forEach((_, i) => dense(`encoder.${i}`, trunk[i], trunk[i + 1]));
  dense("encoder.mu", trunk[hidden.length], J);
  dense("encoder.logvar", trunk[hidden.length], J);
  hidden.forEach((_, i) => dense(`decoder.${i}`, mirror[i], mirror[i + 1]));
  dense("decoder.out", mirror[hidden.length], D);
  return found;
}

function sizeOfLayout(layout) {
  return layout.reduce((n, [, shape]) => n + sizeOf(shape), 0);
}

// The named tensors of a flat buffer: views, so writing to one writes to it.
function viewsOf(layout, buffer) {
  const p = {};
  let offset = 0;
  for (const [name, shape] of layout) {
    p[name] = new Tensor(shape, buffer.subarray(offset, (offset += sizeOf(shape))));
  }
  return p;
}

// Copy the named tensors into one flat buffer.
function flatten(layout, tensors, out) {
  let offset = 0;
  for (const [name, shape] of layout) {
    out.set(tensors[name].data, offset);
    offset += sizeOf(shape);
  }
  return out;
}

// Matrices uniform in ±√(6 / (I + O)), all else zero (Glorot & Bengio 2010). The k-th tensor draws
// from step k of the initialisation stream, row by row.
function initialise(config, seed) {
  const layout = layoutOf(config);
  const theta = new Float64Array(sizeOfLayout(layout));
  Object.entries(viewsOf(layout, theta)).forEach(([name, tensor], k) => {
    if (!name.endsWith(".W")) return;
    const [I, O] = tensor.shape;
    const bound = Math.sqrt(6 / (I + O));
    for (let i = 0; i < I; i++) {
      const w = words(seed, STREAM.INIT, k, i, O);
      for (let o = 0; o < O; o++) tensor.data[i * O + o] = (2 * uniformOf(w[o]) - 1) * bound;
    }
  });
  return theta;
}
