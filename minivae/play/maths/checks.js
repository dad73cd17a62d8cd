// Five questions to a backward pass and to what it is the gradient of. A gradient check compares a
// loss with itself, so it can never see that the loss is the wrong one: the other four ask that.
"use strict";

const STEP = 1e-6;
const SAMPLED = 16; // entries of each tensor, the largest gradient always among them
const TOLERANCE = 1e-5; // of the tensor's largest gradient
const CHECKED_ROWS = 12;

// Every parameter tensor against central differences of the loss   (E29)
// training: a Training. Returns rows {name, shape, worst, entry, hand, difference, good}.
function checkGradients(training) {
  const { K, config, layout, beta } = training;
  const [whole, eps] = training.batch(training.t);
  const [x, noise] = firstRows(whole, eps, CHECKED_ROWS);
  const theta = training.theta.slice();
  const p = viewsOf(layout, theta);
  const lossOf = () => elboForward(K, p, x, noise, beta, config)[0];
  const [loss, cache] = elboForward(K, p, x, noise, beta, config);
  const g = elboBackward(K, cache, p, config);
  return layout.map(([name, shape]) => {
    const hand = g[name].data;
    const largest = Math.max(...hand.map(Math.abs));
    // what rounding alone may do to a difference of two losses, and what a right gradient may be off
    const allowed = (8 * Number.EPSILON * Math.abs(loss)) / STEP + TOLERANCE * largest;
    let [worst, at] = [-1, 0];
    for (const i of entriesOf(hand)) {
      const off = differenceAt(p[name].data, i, hand[i], lossOf);
      if (!(off <= worst)) [worst, at] = [off, i];
    }
    return {
      name, shape, worst: worst / (largest || 1), entry: at, hand: hand[at],
      difference: central(p[name].data, at, STEP, lossOf), good: worst <= allowed,
    };
  });
}

// |hand - difference| at the kinder of two steps: a ReLU whose kink lies between θ - h and θ + h
// has no derivative there, and a smaller h steps past it.
function differenceAt(values, i, hand, lossOf) {
  const off = Math.abs(hand - central(values, i, STEP, lossOf));
  return off === 0 ? off : Math.min(off, Math.abs(hand - central(values, i, STEP / 8, lossOf)));
}

function central(values, i, h, lossOf) {
  const kept = values[i];
  values[i] = kept + h;
  const above = lossOf();
  values[i] = kept - h;
  const below = lossOf();
  values[i] = kept;
  return (above - below) / (2 * h);
}

function entriesOf(hand) {
  let largest = 0;
  hand.forEach((v, i) => {
    if (Math.abs(v) > Math.abs(hand[largest])) largest = i;
  });
  const stride = Math.max(1, Math.floor(hand.length / SAMPLED));
  const found = new Set([largest]);
  for (let i = Math.floor(stride / 2); i < hand.length; i += stride) found.add(i);
  return found;
}

function firstRows(x, eps, n) {
  const [L, B, J] = eps.shape;
  const few = Math.min(n, B);
  const noise = new Tensor([L, few, J]);
  for (let l = 0; l < L; l++)
    noise.data.set(eps.data.subarray(l * B * J, (l * B + few) * J), l * few * J);
  return [new Tensor([few, x.shape[1]], x.data.slice(0, few * x.shape[1])), noise];
}

// Is the KL the integral of q (log q - log p) over z, by Simpson's rule?   (E14, E15)
function checkIntegral(K) {
  let worst = 0;
  for (const [mu, logvar] of [[0, 0], [1.5, -2], [-0.7, 1], [0.2, -4]]) {
    const q = (z) => Math.exp(-0.5 * ((z - mu) ** 2 / Math.exp(logvar) + logvar + LOG_2PI));
    const f = (z) => q(z) * 0.5 * (z * z - (z - mu) ** 2 / Math.exp(logvar) - logvar);
    const wide = 12 * Math.exp(logvar / 2);
    const formula = K.klForward(new Tensor([1, 1], [mu]), new Tensor([1, 1], [logvar])).data[0];
    worst = Math.max(worst, Math.abs(formula - simpson(f, mu - wide, mu + wide, 2000)));
  }
  return { worst, good: worst <= 1e-8 };
}

function simpson(f, a, b, n) {
  let sum = f(a) + f(b);
  for (let i = 1; i < n; i++) sum += (i % 2 ? 4 : 2) * f(a + ((b - a) * i) / n);
  return (sum * (b - a)) / (3 * n);
}

// Is z, one standard deviation out, at μ ± exp(log σ² / 2), the σ that the KL is paid for?   (E26)
function checkSpread(K) {
  let worst = 0;
  for (const [mu, logvar] of [[0, 0], [1.5, -2], [-0.7, 1]]) {
    const one = (v) => new Tensor([1, 1], [v]);
    const z = (e) =>
      K.reparameteriseForward(one(mu), one(logvar), new Tensor([1, 1, 1], [e])).data[0];
    const variance = ((z(1) - z(-1)) / 2) ** 2;
    worst = Math.max(worst, Math.abs(variance / Math.exp(logvar) - 1), Math.abs(z(0) - mu));
  }
  return { worst, good: worst <= 1e-12 };
}

// Do the densities of all x add up to one, for the likelihood in use?   (E20, E23)
function checkLikelihood(K, config) {
  const at = (out, x) =>
    Math.exp(-nllForward(K, new Tensor([1, 1, 1], [out]), new Tensor([1, 1], [x]), config).data[0]);
  const wide = 12 * Math.sqrt(config.c);
  const total =
    config.likelihood === "bernoulli"
      ? at(0.8, 0) + at(0.8, 1)
      : simpson((x) => at(0.3, x), 0.3 - wide, 0.3 + wide, 2000);
  const worst = Math.abs(total - 1);
  return { worst, good: worst <= 1e-8 };
}

// Is each update's noise new?   (E36). The share of the numbers that two updates have in common.
function checkNoise(training) {
  const step = (t) => (training.K.noiseStep ? training.K.noiseStep(t) : t);
  const rows = Array.from({ length: 64 }, (_, i) => i);
  const [a, b] = [3, 4].map((t) => normals(training.settings.seed, STREAM.EPS, step(t), rows, 2));
  const worst = a.filter((v, i) => v === b[i]).length / a.length;
  return { worst, good: worst <= 0.01 };
}

// All of them: {gradient: {rows, worst, good}, integral, spread, likelihood, noise}.
function checkAll(training) {
  const rows = checkGradients(training);
  const worst = rows.reduce((most, r) => (r.worst <= most ? most : r.worst), 0);
  return {
    gradient: { rows, worst, good: rows.every((r) => r.good) },
    integral: checkIntegral(training.K),
    spread: checkSpread(training.K),
    likelihood: checkLikelihood(training.K, training.config),
    noise: checkNoise(training),
  };
}
