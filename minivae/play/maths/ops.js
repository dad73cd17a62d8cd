// The operations, each with its gradient: minivae/ops/, function by function. A gradient is called
// d and the name of what it belongs to. The numbers on the right are MATHS.md's equations.
"use strict";

const LOGVAR_BOUND = 40; // a guard rail against overflow, no part of the model
const LOG_2PI = Math.log(2 * Math.PI);

const OPS = {
  // y = x W + b: x (B, I), W (I, O), b (O,) -> (B, O)                                       E5
  denseForward({ shape: [B, I], data: x }, { shape: [, O], data: W }, { data: b }) {
    const y = new Float64Array(B * O);
    for (let n = 0; n < B; n++) {
      const row = n * O;
      for (let o = 0; o < O; o++) y[row + o] = b[o];
      for (let i = 0; i < I; i++) {
        const xi = x[n * I + i];
        if (xi === 0) continue; // white paper and silent units: half of all the products
        for (let o = 0, w = i * O; o < O; o++, w++) y[row + o] += xi * W[w];
      }
    }
    return new Tensor([B, O], y);
  },

  // dW = xᵀ dy and db = Σ_n dy                                                               E6
  denseBackwardParams({ shape: [B, O], data: dy }, { shape: [, I], data: x }) {
    const [dW, db] = [new Float64Array(I * O), new Float64Array(O)];
    for (let n = 0; n < B; n++) {
      const row = n * O;
      for (let o = 0; o < O; o++) db[o] += dy[row + o];
      for (let i = 0; i < I; i++) {
        const xi = x[n * I + i];
        if (xi === 0) continue;
        for (let o = 0, w = i * O; o < O; o++, w++) dW[w] += xi * dy[row + o];
      }
    }
    return [new Tensor([I, O], dW), new Tensor([O], db)];
  },

  // dx = dy Wᵀ                                                                               E6
  denseBackwardInput({ shape: [B, O], data: dy }, { shape: [I], data: W }) {
    const dx = new Float64Array(B * I);
    for (let n = 0; n < B; n++)
      for (let i = 0; i < I; i++) {
        let sum = 0;
        for (let o = 0, w = i * O; o < O; o++, w++) sum += dy[n * O + o] * W[w];
        dx[n * I + i] = sum;
      }
    return new Tensor([B, I], dx);
  },

  reluForward: (x) => x.fill((i) => (x.data[i] <= 0 ? 0 : x.data[i])), //                     E7
  reluBackward: (dy, x) => dy.fill((i) => (x.data[i] <= 0 ? 0 : dy.data[i])),

  tanhForward: (x) => x.fill((i) => Math.tanh(x.data[i])), //                                 E8
  // dx = dy / cosh² x, in the form that keeps its digits in the tails
  tanhBackward: (dy, x) =>
    dy.fill((i) => {
      const t = Math.exp(-2 * Math.abs(x.data[i]));
      return dy.data[i] * ((4 * t) / ((1 + t) * (1 + t)));
    }),

  boundLogvarForward: (l) =>
    l.fill((i) => Math.min(LOGVAR_BOUND, Math.max(-LOGVAR_BOUND, l.data[i]))),
  boundLogvarBackward: (d, l) => d.fill((i) => (Math.abs(l.data[i]) > LOGVAR_BOUND ? 0 : d.data[i])),

  // z = μ + σ ε with σ = exp(logvar / 2): (B, J), (B, J), (L, B, J) -> (L, B, J)            E26
  reparameteriseForward(mu, logvar, eps) {
    const n = mu.data.length;
    return eps.fill((i) => mu.data[i % n] + Math.exp(0.5 * logvar.data[i % n]) * eps.data[i]);
  },

  // dμ = Σ_l dz and dlogvar = Σ_l dz ε σ / 2                                                E27
  reparameteriseBackward(dz, logvar, eps) {
    const [dmu, dlogvar] = [new Tensor(logvar.shape), new Tensor(logvar.shape)];
    const n = logvar.data.length;
    for (let i = 0; i < dz.data.length; i++) {
      dmu.data[i % n] += dz.data[i];
      dlogvar.data[i % n] += dz.data[i] * eps.data[i];
    }
    return [dmu, dlogvar.fill((i) => dlogvar.data[i] * (0.5 * Math.exp(0.5 * logvar.data[i])))];
  },

  // (μ² + σ² - 1 - log σ²) / 2 in nats: (B, J) -> (B, J)                                    E15
  klForward: (mu, logvar) =>
    mu.fill((i) => 0.5 * (mu.data[i] ** 2 + (Math.expm1(logvar.data[i]) - logvar.data[i]))),

  // dμ = dkl μ and dlogvar = dkl (σ² - 1) / 2                                               E16
  klBackward: (dkl, mu, logvar) => [
    mu.fill((i) => dkl.data[i] * mu.data[i]),
    mu.fill((i) => dkl.data[i] * (0.5 * Math.expm1(logvar.data[i]))),
  ],

  // Σ_d softplus(logit) - x logit: (L, B, D), (B, D) -> (L, B)                              E23
  bernoulliNllForward: (logits, x) =>
    sumOfLast(logits, (i) => softplus(logits.data[i]) - x.data[i % x.data.length] * logits.data[i]),

  // dlogits = dnll (s(logit) - x)                                                           E24
  bernoulliNllBackward(dnll, logits, x) {
    const [D, n] = [x.shape[1], x.data.length];
    return logits.fill(
      (i) => dnll.data[Math.floor(i / D)] * (sigmoid(logits.data[i]) - x.data[i % n]),
    );
  },

  // ½ [D (log 2π + log c) + ‖x - mean‖² / c]: (L, B, D), (B, D) -> (L, B)                   E20
  gaussianNllForward(mean, x, logc) {
    const square = sumOfLast(mean, (i) => (mean.data[i] - x.data[i % x.data.length]) ** 2);
    const [D, precision] = [x.shape[1], Math.exp(-logc)];
    return square.fill((i) => 0.5 * (D * (LOG_2PI + logc) + precision * square.data[i]));
  },

  // dmean = dnll (mean - x) / c                                                             E21
  gaussianNllBackward(dnll, mean, x, logc) {
    const [D, n, precision] = [x.shape[1], x.data.length, Math.exp(-logc)];
    return mean.fill(
      (i) => dnll.data[Math.floor(i / D)] * (precision * (mean.data[i] - x.data[i % n])),
    );
  },
};

// Two-sided, so that neither tail overflows or loses its digits                             E22
function sigmoid(v) {
  const t = Math.exp(-Math.abs(v));
  return (v > 0 ? 1 : t) / (1 + t);
}

function softplus(v) {
  return Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));
}

// Σ over the last axis of f(i): the shape of a (L, B, D) -> (L, B).
function sumOfLast(a, f) {
  const D = a.shape[a.shape.length - 1];
  const y = new Tensor(a.shape.slice(0, -1));
  for (let i = 0; i < a.data.length; i++) y.data[Math.floor(i / D)] += f(i);
  return y;
}

// θ ← θ - lr m̂ / (√v̂ + eps), in place; t = 1, 2, … counts the updates                      E33
function adamUpdate(theta, grad, m, v, lr, t) {
  const [beta1, beta2, eps] = [0.9, 0.999, 1e-8];
  const rate = lr / (1 - beta1 ** t);
  const scale = 1 / (1 - beta2 ** t);
  for (let i = 0; i < theta.length; i++) {
    m[i] = m[i] * beta1 + (1 - beta1) * grad[i];
    v[i] = v[i] * beta2 + (1 - beta2) * (grad[i] * grad[i]);
    theta[i] -= (rate * m[i]) / (Math.sqrt(v[i] * scale) + eps);
  }
}
