// Random numbers that belong to a (seed, stream, step, sample): minivae/ops/philox.py, bit for bit.
// float32 arithmetic is Math.fround after every operation, which rounds exactly as float32 does.
"use strict";

const STREAM = { INIT: 0, PERMUTATION: 1, EPS: 2, BINARISE: 3, GENERATE: 4, EVALUATE: 5 };
const ROUNDS = 10;

// Least-squares fits on Chebyshev nodes, highest power last; see philox.py.
const LOG = [
  0.33333331, -0.2499999, 0.20000708, -0.1666848, 0.14249937, -0.1241105, 0.11661511, -0.11571201,
  0.07149754,
].map(Math.fround);
const SIN = [1.5707964, -0.6459635, 0.07968022, -0.0046021631].map(Math.fround);
const COS = [-1.2337005, 0.25366941, -0.020861529, 0.00090674171].map(Math.fround);
const LN2_HIGH = 0.693359375;
const LN2_LOW = Math.fround(-2.1219444e-4);
const SQRT_HALF = Math.fround(0.70710677);

// The high 32 bits of the product of two 32-bit words, by 16-bit halves.
function mulHigh(a, b) {
  const [a0, a1, b0, b1] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const other = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(other / 65536)) >>> 0;
}

// Ten rounds of Philox 4x32: counter and key in words -> four words      (E34)
function philox(c0, c1, c2, c3, k0, k1) {
  const [M0, M1] = [0xd2511f53, 0xcd9e8d57];
  for (let round = 0; round < ROUNDS; round++) {
    const [high0, low0] = [mulHigh(c0, M0), Math.imul(c0, M0) >>> 0];
    const [high1, low1] = [mulHigh(c2, M1), Math.imul(c2, M1) >>> 0];
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

// The first n words of one sample's sequence, rounded up to whole blocks of four.
function words(seed, stream, step, sample, n) {
  const [low, high] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  const found = [];
  for (let block = 0; block < Math.ceil(n / 4); block++)
    found.push(...philox(block, sample, step, stream, low, high));
  return found;
}

// A word as a uniform number in the open interval (0, 1)                 (E35)
function uniformOf(word) {
  return Math.fround(Math.fround((word >>> 9) * 2 ** -23) + 2 ** -24);
}

// The natural logarithm of a float32 u in (0, 1], by bits and a polynomial.
const logBits = new DataView(new ArrayBuffer(4));
function logOf(u) {
  const f = Math.fround;
  logBits.setFloat32(0, u);
  const bits = logBits.getUint32(0);
  let exponent = (bits >>> 23) - 126;
  logBits.setUint32(0, (bits & 0x007fffff) | 0x3f000000);
  let m = logBits.getFloat32(0); // in [1/2, 1)
  if (m < SQRT_HALF) {
    exponent -= 1;
    m = f(m + m);
  }
  m = f(m - 1);
  const square = f(m * m);
  let p = LOG[8];
  for (let k = 7; k >= 0; k--) p = f(f(p * m) + LOG[k]);
  p = f(f(p * m) * square);
  p = f(p + f(exponent * LN2_LOW));
  p = f(p - f(0.5 * square));
  return f(f(m + p) + f(exponent * LN2_HIGH));
}

function polynomial(coefficients, square) {
  let p = coefficients[coefficients.length - 1];
  for (let k = coefficients.length - 2; k >= 0; k--)
    p = Math.fround(Math.fround(p * square) + coefficients[k]);
  return p;
}

// Two words make two independent standard normals                        (E36)
function boxMuller(w0, w1) {
  const f = Math.fround;
  const u = f(f(f(w0) * 2 ** -32) + 2 ** -33);
  const radius = f(Math.sqrt(f(-2 * logOf(u))));
  const quadrant = w1 >>> 30;
  const t = f(f((w1 << 2) | 0) * 2 ** -32);
  const square = f(t * t);
  const s = f(polynomial(SIN, square) * t);
  const c = f(f(polynomial(COS, square) * square) + 1);
  let [cosine, sine] = quadrant & 1 ? [s, c] : [c, s];
  if (quadrant === 1 || quadrant === 2) cosine = -cosine;
  if (quadrant >= 2) sine = -sine;
  return [f(radius * cosine), f(radius * sine)];
}

// n standard normals of each sample: rows (B,) -> (B, n) as one flat array   (E36)
function normals(seed, stream, step, rows, n) {
  const found = new Float64Array(rows.length * n);
  rows.forEach((row, b) => {
    const w = words(seed, stream, step, row, n);
    for (let i = 0; i < n; i += 2) {
      const pair = boxMuller(w[i], w[i + 1]);
      found[b * n + i] = pair[0];
      if (i + 1 < n) found[b * n + i + 1] = pair[1];
    }
  });
  return found;
}

// The order of the n data in an epoch: the stable sorting order of n random 64-bit keys   (E34)
function permutation(seed, epoch, n) {
  const keys = Array.from({ length: n }, (_, i) => words(seed, STREAM.PERMUTATION, epoch, i, 2));
  const order = Array.from({ length: n }, (_, i) => i);
  return order.sort((a, b) => keys[a][0] - keys[b][0] || keys[a][1] - keys[b][1]);
}
