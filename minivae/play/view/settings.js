// All that can be set, one record each; the link holds them all.
"use strict";

const CONTENT = JSON.parse(document.getElementById("content").textContent);

// choices: value -> words. values: what a slider steps through. restarts: training starts again.
const SETTINGS = {
  data: { choices: { digits: "digits", ring: "ring", moons: "two moons", blobs: "blobs" }, restarts: true },
  model: { choices: { ae: "autoencoder", "no-kl": "VAE without KL", vae: "VAE" } },
  beta: { values: between(0.01, 100), start: 1 },
  c: { values: between(0.0005, 2) },
  lr: { values: between(0.0001, 0.05) },
  draws: { values: [1, 2, 3, 4, 6, 8, 12, 16], start: 1 },
  speed: { values: [1, 5, 20, Infinity], start: Infinity, text: (v) => (v === Infinity ? "full" : `${v} a second`) },
  units: { values: [2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256], restarts: true },
  layers: { values: [1, 2, 3], restarts: true },
  activation: { choices: { relu: "ReLU", tanh: "tanh" }, restarts: true },
  likelihood: { choices: { gaussian: "Gaussian", bernoulli: "Bernoulli" }, restarts: true },
  seed: { values: Array.from({ length: 100 }, (_, i) => i), start: 0, restarts: true },
};

// Round values from `low` to `high`, seven to a power of ten.
function between(low, high) {
  const found = [];
  for (let power = -5; power <= 2; power++)
    for (const digits of [1, 1.5, 2, 3, 4, 5, 7]) found.push(Number(`${digits}e${power}`));
  return found.filter((v) => v >= low && v <= high);
}

function nearest(values, wanted) {
  if (values.includes(wanted)) return wanted;
  return values.reduce((a, b) => (Math.abs(Math.log(b / wanted)) < Math.abs(Math.log(a / wanted)) ? b : a));
}

// What a link says of a slider with these values: the nearest of them; null where it is no number.
function valueFrom(text, values) {
  const wanted = text.trim() === "" ? NaN : Number(text); // Number("") is 0
  return values.includes(wanted) || (wanted >= 0 && wanted < Infinity) ? nearest(values, wanted) : null;
}

// What a data set starts with, where nothing else is asked for.
function startOf(data) {
  const settings = { data, model: "vae", likelihood: "gaussian", bug: "", ...CONTENT.data[data].start };
  for (const [key, { start, values }] of Object.entries(SETTINGS)) {
    settings[key] ??= start;
    if (values) settings[key] = nearest(values, settings[key]);
  }
  return settings;
}

// The settings of a link's fragment; what it says wrongly is left at its start.
function fromLink(fragment) {
  const asked = new URLSearchParams(fragment.replace(/^#/, ""));
  // Object.hasOwn, for "constructor" and the like are in every object
  const settings = startOf(Object.hasOwn(CONTENT.data, asked.get("data")) ? asked.get("data") : "digits");
  for (const [key, { choices, values }] of Object.entries(SETTINGS)) {
    const value = asked.get(key);
    if (value === null) continue;
    if (choices && Object.hasOwn(choices, value)) settings[key] = value;
    if (values) settings[key] = valueFrom(value, values) ?? settings[key];
  }
  if (Object.hasOwn(BUGS, asked.get("bug"))) settings.bug = asked.get("bug");
  if (!CONTENT.data[settings.data].shape) settings.likelihood = "gaussian";
  return settings;
}

function toLink(settings) {
  const said = Object.keys(SETTINGS).map((key) => [key, String(settings[key])]);
  if (settings.bug) said.push(["bug", settings.bug]);
  return `#${new URLSearchParams(said)}`;
}

// A data set as tensors: {x (N, D), labels, shape or null}.
const loaded = {};
function dataOf(name) {
  const spec = CONTENT.data[name];
  if (!loaded[name]) {
    const numbers = spec.bytes
      ? Float64Array.from(bytesOf(spec.bytes), (v) => v * spec.scale)
      : Float64Array.from(floats(spec.floats));
    const x = new Tensor([numbers.length / spec.dim, spec.dim], numbers);
    loaded[name] = { x, labels: spec.labels, shape: spec.shape, name };
  }
  return loaded[name];
}

// The settings in the form in which a Training takes them.
function trainingFrom(settings) {
  const K = settings.bug ? BUGS[settings.bug].plant(OPS) : OPS;
  const hidden = Array(settings.layers).fill(settings.units);
  return new Training(dataOf(settings.data), { ...settings, hidden }, K);
}
