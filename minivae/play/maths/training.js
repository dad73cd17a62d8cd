// One training run: batches, noise and updates as minivae/training/step.py takes them.
"use strict";

// Three models in one: an autoencoder is a VAE without noise and without KL, so that z = μ.
const MODELS = {
  vae: { noise: true, kl: true },
  "no-kl": { noise: true, kl: false },
  ae: { noise: false, kl: false },
};

class Training {
  // data {x: Tensor (N, D)}; settings {model, likelihood, c, beta, lr, hidden, activation, draws,
  // batch, seed}. K: the operations, perhaps with a bug planted.
  constructor(data, settings, K = OPS) {
    this.data = data;
    this.settings = settings;
    this.K = K;
    this.config = {
      dataDim: data.x.shape[1],
      latentDim: 2,
      hidden: settings.hidden,
      activation: settings.activation,
      likelihood: settings.likelihood,
      c: settings.c,
    };
    this.layout = layoutOf(this.config);
    this.theta = initialise(this.config, settings.seed);
    this.p = viewsOf(this.layout, this.theta);
    this.grad = new Float64Array(this.theta.length);
    this.m = new Float64Array(this.theta.length);
    this.v = new Float64Array(this.theta.length);
    this.t = 0;
    this.order = [];
  }

  // β as it acts: the KL counts for nothing where the model has none.
  get beta() {
    return MODELS[this.settings.model].kl ? this.settings.beta : 0;
  }

  // The rows of update t; an epoch is one pass in an order of its own, its last batch smaller.
  rowsOf(t) {
    const [N, B] = [this.data.x.shape[0], this.settings.batch];
    const perEpoch = Math.ceil(N / B);
    const epoch = Math.floor(t / perEpoch);
    if (this.order.epoch !== epoch) {
      this.order = permutation(this.settings.seed, epoch, N);
      this.order.epoch = epoch;
    }
    return this.order.slice((t % perEpoch) * B, (t % perEpoch) * B + B);
  }

  // x (B, D) and eps (L, B, J) of update t: a function of (seed, t, rows).
  batch(t) {
    const rows = this.rowsOf(t);
    const [D, J, L] = [this.config.dataDim, this.config.latentDim, this.settings.draws];
    const x = new Tensor([rows.length, D]);
    rows.forEach((row, b) => x.data.set(this.data.x.data.subarray(row * D, row * D + D), b * D));
    const eps = new Tensor([L, rows.length, J]);
    if (MODELS[this.settings.model].noise) {
      const step = this.K.noiseStep ? this.K.noiseStep(t) : t;
      const drawn = normals(this.settings.seed, STREAM.EPS, step, rows, L * J);
      for (let l = 0; l < L; l++)
        for (let b = 0; b < rows.length; b++)
          for (let j = 0; j < J; j++)
            eps.data[(l * rows.length + b) * J + j] = drawn[(b * L + l) * J + j];
    }
    return [x, eps];
  }

  // One update: gather a batch, draw its noise, run the ELBO forward and backward, move θ.
  update() {
    const [x, eps] = this.batch(this.t);
    this.config.c = this.settings.c; // the sliders may have moved
    const [loss, cache] = elboForward(this.K, this.p, x, eps, this.beta, this.config);
    if (!Number.isFinite(loss)) return null;
    const g = elboBackward(this.K, cache, this.p, this.config);
    flatten(this.layout, g, this.grad);
    adamUpdate(this.theta, this.grad, this.m, this.v, this.settings.lr, this.t + 1);
    this.t += 1;
    const B = x.shape[0];
    return { loss, nll: cache.nll.sum() / cache.nll.data.length, kl: cache.kl.sum() / B };
  }

  encode(x) {
    return encode(this.K, this.p, x, this.config);
  }

  decode(z) {
    return decodeMean(this.K, this.p, z, this.config);
  }
}
