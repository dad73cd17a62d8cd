// The variational autoencoder, forward and backward: minivae/models/vae.py line by line.
// Read elboForward and elboBackward side by side: each line of the second undoes one line of the
// first, last to first. K holds the operations, p the named parameters. B data in a batch of D
// numbers each, J latent dimensions, L draws. The numbers on the right are MATHS.md's equations.
"use strict";

// The negative ELBO of a batch, in nats per datum: x (B, D), eps (L, B, J) -> loss, cache   (E28)
function elboForward(K, p, x, eps, beta, config) {
  const [L, B, J] = eps.shape;

  const [h, trunk] = mlpForward(K, p, "encoder", x, config); // (B, H)                       E25
  const mu = linearForward(K, p, "encoder.mu", h); // (B, J)
  const rawLogvar = linearForward(K, p, "encoder.logvar", h); // (B, J)
  const logvar = K.boundLogvarForward(rawLogvar); // within ±40, lest exp overflow
  const z = K.reparameteriseForward(mu, logvar, eps); // (L, B, J)                           E26
  const [hz, decoder] = mlpForward(K, p, "decoder", z.reshape(L * B, J), config);
  const out = linearForward(K, p, "decoder.out", hz).reshape(L, B, x.shape[1]); // (L, B, D)
  const nll = nllForward(K, out, x, config); // (L, B)                                  E20, E23
  const kl = K.klForward(mu, logvar); // (B, J)                                              E15
  const loss = objectiveForward(nll, kl, beta); //                                           E28

  return [loss, { x, eps, beta, trunk, h, mu, rawLogvar, logvar, z, decoder, hz, out, nll, kl }];
}

// The gradient of elboForward in every parameter, by p's names   (E29). What is worth showing on
// the way stands in g.path: the two gradients that meet in μ, and the two in log σ².
function elboBackward(K, cache, p, config) {
  const { x, eps, beta, trunk, h, mu, rawLogvar, logvar, decoder, hz, out, nll, kl } = cache;
  const [L, B, J] = eps.shape;
  const g = {};

  const [dnll, dkl] = objectiveBackward(nll, kl, beta); // (L, B), (B, J)                    E28
  const [dmuKl, dlogvarKl] = K.klBackward(dkl, mu, logvar); //                               E16
  const dout = nllBackward(K, dnll, out, x, config).reshape(L * B, x.shape[1]); //      E21, E24
  linearBackward(K, g, "decoder.out", dout, hz);
  const dhz = K.denseBackwardInput(dout, p["decoder.out.W"]); // (L·B, H)
  const dz = mlpBackward(K, p, g, "decoder", dhz, decoder, config, true).reshape(L, B, J);
  const [dmuZ, dlogvarZ] = K.reparameteriseBackward(dz, logvar, eps); //                     E27
  const dmu = add(dmuZ, dmuKl); // (B, J): two paths meet, the reconstruction's and the KL's
  const dlogvar = K.boundLogvarBackward(add(dlogvarZ, dlogvarKl), rawLogvar);
  linearBackward(K, g, "encoder.logvar", dlogvar, h);
  linearBackward(K, g, "encoder.mu", dmu, h);
  // both heads stand on one trunk, so their gradients add                                   E25
  const dh = add(
    K.denseBackwardInput(dmu, p["encoder.mu.W"]),
    K.denseBackwardInput(dlogvar, p["encoder.logvar.W"]),
  );
  mlpBackward(K, p, g, "encoder", dh, trunk, config, false);
  g.path = { dnll, dkl, dout, dhz, dz, dmuZ, dmuKl, dmu, dlogvarZ, dlogvarKl, dlogvar, dh };
  return g;
}

// mean_n [ mean_l nll_ln ] + β Σ_j mean_n kl_nj, the only place where a batch's mean is taken:
// minivae/parts/objectives.py   (E28)
function objectiveForward(nll, kl, beta) {
  const [L, B] = nll.shape;
  return nll.sum() / (L * B) + beta * (kl.sum() / B);
}

// Every draw's share of the mean, and β's of every KL   (E28)
function objectiveBackward(nll, kl, beta) {
  const [L, B] = nll.shape;
  return [constant(1 / (L * B), nll.shape), constant(beta / B, kl.shape)];
}

// -log p(x | z) in nats from the decoder's output: (L, B, D) -> (L, B)   (E20, E23)
function nllForward(K, out, x, config) {
  if (config.likelihood === "bernoulli") return K.bernoulliNllForward(out, x);
  return K.gaussianNllForward(out, x, Math.log(config.c));
}

// Its gradient in the decoder's output   (E21, E24)
function nllBackward(K, dnll, out, x, config) {
  if (config.likelihood === "bernoulli") return K.bernoulliNllBackward(dnll, out, x);
  return K.gaussianNllBackward(dnll, out, x, Math.log(config.c));
}

// The posterior q(z | x) = N(mu, exp(logvar)): x (B, D) -> mu, logvar (B, J)   (E25)
function encode(K, p, x, config) {
  const [h] = mlpForward(K, p, "encoder", x, config);
  const mu = linearForward(K, p, "encoder.mu", h);
  return [mu, K.boundLogvarForward(linearForward(K, p, "encoder.logvar", h))];
}

// E[x | z], the picture itself: z (B, J) -> (B, D)   (E10, E22)
function decodeMean(K, p, z, config) {
  const [hz] = mlpForward(K, p, "decoder", z, config);
  const out = linearForward(K, p, "decoder.out", hz);
  return config.likelihood === "bernoulli" ? out.fill((i) => sigmoid(out.data[i])) : out;
}

// ---- dense layers over named parameters: minivae/layers.py
function linearForward(K, p, name, x) {
  return K.denseForward(x, p[`${name}.W`], p[`${name}.b`]); //                                E5
}

function linearBackward(K, g, name, dy, x) {
  [g[`${name}.W`], g[`${name}.b`]] = K.denseBackwardParams(dy, x); //                         E6
}

// The hidden layers name.0, name.1, …: (B, I) -> (B, H), caches   (E5, E7, E8)
function mlpForward(K, p, name, x, config) {
  const caches = [];
  for (let i = 0; i < config.hidden.length; i++) {
    const a = linearForward(K, p, `${name}.${i}`, x);
    caches.push({ x, a });
    x = K[`${config.activation}Forward`](a);
  }
  return [x, caches];
}

// The same layers, last to first; gradients go into g   (E6, E7, E8)
function mlpBackward(K, p, g, name, dh, caches, config, inputGradient) {
  for (let i = caches.length - 1; i >= 0; i--) {
    const { x, a } = caches[i];
    const da = K[`${config.activation}Backward`](dh, a);
    linearBackward(K, g, `${name}.${i}`, da, x);
    if (i > 0 || inputGradient) dh = K.denseBackwardInput(da, p[`${name}.${i}.W`]);
  }
  return dh;
}
