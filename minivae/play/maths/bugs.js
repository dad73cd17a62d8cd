// The classical bugs, each a copy of the operations with one of them wrong. `caught` names the
// checks of checks.js that see it; a test holds that to be true.
"use strict";

// A backward pass whose second gradient, that of log σ², comes out twice as large.
const doubledLogvar = (backward) => (...values) => {
  const [dmu, dlogvar] = backward(...values);
  return [dmu, dlogvar.fill((i) => 2 * dlogvar.data[i])];
};

const BUGS = {
  "sigma-variance": {
    name: "σ = exp(log σ²): the square root is forgotten",
    caught: ["spread"],
    words:
      "Forward and backward agree with each other, so no gradient check can see it: they are the " +
      "right gradient of another model. The noise that is added is not the noise the KL is paid for.",
    plant: (K) => ({
      ...K,
      reparameteriseForward: (mu, logvar, eps) =>
        K.reparameteriseForward(mu, logvar.fill((i) => 2 * logvar.data[i]), eps),
      reparameteriseBackward(dz, logvar, eps) {
        const doubled = logvar.fill((i) => 2 * logvar.data[i]);
        return doubledLogvar(K.reparameteriseBackward)(dz, doubled, eps);
      },
    }),
  },
  "kl-sign": {
    name: "The KL with its sign turned round",
    caught: ["integral"],
    words:
      "The gradient of the wrong loss, and rightly computed. Training now pays for leaving the " +
      "prior: means fly apart or variances run away, and the loss falls without end.",
    plant: (K) => ({
      ...K,
      klForward(mu, logvar) {
        const kl = K.klForward(mu, logvar);
        return kl.fill((i) => -kl.data[i]);
      },
      klBackward: (dkl, mu, logvar) =>
        K.klBackward(dkl, mu, logvar).map((d) => d.fill((i) => -d.data[i])),
    }),
  },
  "kl-half": {
    name: "KL backward: ½ forgotten in the gradient of log σ²",
    caught: ["gradient"],
    words:
      "The pull on σ towards 1 is twice too strong. Training still works, only worse: the " +
      "posteriors are too wide. Nobody would notice without the check.",
    plant: (K) => ({ ...K, klBackward: doubledLogvar(K.klBackward) }),
  },
  "draw-half": {
    name: "Reparameterisation backward: ½ forgotten",
    caught: ["gradient"],
    words:
      "σ = exp(log σ² / 2), so the chain rule leaves a ½ behind. Without it the reconstruction " +
      "pushes σ down twice too hard: posteriors are too small.",
    plant: (K) => ({ ...K, reparameteriseBackward: doubledLogvar(K.reparameteriseBackward) }),
  },
  "one-path": {
    name: "Only one path into μ: the KL's gradient is dropped",
    caught: ["gradient"],
    words:
      "Two paths meet in μ, and a gradient is their sum. Without the KL's nothing pulls the means " +
      "back to the middle: they drift apart as in a VAE without KL, while the loss still counts it.",
    plant: (K) => ({
      ...K,
      klBackward(dkl, mu, logvar) {
        const [dmu, dlogvar] = K.klBackward(dkl, mu, logvar);
        return [constant(0, dmu.shape), dlogvar];
      },
    }),
  },
  activation: {
    name: "The activation's derivative is forgotten",
    caught: ["gradient"],
    words:
      "Backward passes through the hidden layers as if they were linear. Only the output layer, which " +
      "lies above them all, still has the right gradient; even the heads get theirs through the " +
      "decoder's hidden layers.",
    plant: (K) => ({ ...K, reluBackward: (dy) => dy, tanhBackward: (dy) => dy }),
  },
  square: {
    name: "Squared error without its ½ in the backward pass",
    caught: ["gradient"],
    words:
      "The derivative of ½ r² / c is r / c, here it is 2 r / c: as if c were half of what the " +
      "slider says. Only the balance with the KL tells.",
    plant: (K) => ({
      ...K,
      gaussianNllBackward(...values) {
        const d = K.gaussianNllBackward(...values);
        return d.fill((i) => 2 * d.data[i]);
      },
      bernoulliNllBackward(...values) {
        const d = K.bernoulliNllBackward(...values);
        return d.fill((i) => 2 * d.data[i]);
      },
    }),
  },
  "same-noise": {
    name: "The same noise at every update",
    caught: ["noise"],
    words:
      "The seed is set inside the loop. Every gradient is right, but each datum meets the same ε " +
      "for ever: what is made small is no longer an average over the noise. Training looks healthy.",
    plant: (K) => ({ ...K, noiseStep: () => 0 }),
  },
};
