// Tensors as plain as they come: a shape and its numbers in double precision, row by row.
"use strict";

class Tensor {
  constructor(shape, data) {
    this.shape = shape;
    this.data = data ?? new Float64Array(sizeOf(shape));
  }

  // The same numbers under another shape; nothing is copied.
  reshape(...shape) {
    return new Tensor(shape, this.data);
  }

  // A tensor of this shape whose i-th number is f(i).
  fill(f) {
    const y = new Tensor(this.shape);
    for (let i = 0; i < y.data.length; i++) y.data[i] = f(i);
    return y;
  }

  sum() {
    let total = 0;
    for (const v of this.data) total += v;
    return total;
  }
}

function sizeOf(shape) {
  return shape.reduce((n, side) => n * side, 1);
}

function constant(value, shape) {
  const y = new Tensor(shape);
  y.data.fill(value);
  return y;
}

// a + b, shapes equal.
function add(a, b) {
  return a.fill((i) => a.data[i] + b.data[i]);
}
