// The network as a picture: the datum's way forward, and the gradients' way back, with numbers.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

// Where each node's middle stands, on a wide and on a narrow screen, and its size.
const NODES = {
  x: { wide: [52, 215], narrow: [180, 48], size: [76, 76] },
  h: { wide: [190, 215], narrow: [180, 150], size: [92, 52] },
  mu: { wide: [345, 105], narrow: [78, 256], size: [112, 52] },
  logvar: { wide: [345, 325], narrow: [282, 256], size: [112, 52] },
  eps: { wide: [540, 62], narrow: [190, 486], size: [104, 46] },
  z: { wide: [540, 190], narrow: [72, 402], size: [108, 52] },
  hz: { wide: [690, 190], narrow: [72, 520], size: [92, 52] },
  f: { wide: [830, 190], narrow: [72, 632], size: [76, 76] },
  nll: { wide: [980, 190], narrow: [72, 758], size: [128, 52] },
  kl: { wide: [690, 350], narrow: [290, 402], size: [104, 52] },
  loss: { wide: [980, 350], narrow: [284, 758], size: [128, 52] },
};
const WIDE = [0, 0, 1056, 400];
const NARROW = [0, 0, 360, 800];

// [from, to, bend]: a bend is how far the middle is pushed aside, in parts of the length.
const FORTH = [
  ["x", "h"], ["h", "mu"], ["h", "logvar"], ["mu", "z"], ["logvar", "z"], ["eps", "z"], ["z", "hz"],
  ["hz", "f"], ["f", "nll"], ["mu", "kl", 0.16], ["logvar", "kl"], ["nll", "loss"], ["kl", "loss"],
];
// [from, to, kind, what of the path, bend, where along it the number stands]
const BACK = [
  ["loss", "nll", "rec", "dnll"], ["loss", "kl", "kl", "dkl"], ["nll", "f", "rec", "dout"],
  ["f", "hz", "rec", "dhz"], ["hz", "z", "rec", "dz"], ["z", "mu", "rec", "dmuZ"],
  ["z", "logvar", "rec", "dlogvarZ", 0, 0.45], ["kl", "mu", "kl", "dmuKl", -0.16, 0.3], ["kl", "logvar", "kl", "dlogvarKl"],
  ["mu", "h", "both", "dmu"], ["logvar", "h", "both", "dlogvar"],
];

function make(kind, attributes, text) {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

class Flow {
  constructor(app) {
    this.app = app;
    this.svg = document.getElementById("flow");
  }

  draw() {
    this.wide = this.svg.parentElement.clientWidth >= 640;
    const box = this.wide ? WIDE : NARROW;
    this.svg.setAttribute("viewBox", box.join(" "));
    this.svg.replaceChildren();
    this.curveOfData();
    for (const [from, to, bend] of FORTH) {
      const { path } = this.curve(from, to, bend ?? 0, -5);
      this.svg.append(make("path", { d: path, class: "forth" }));
    }
    const drawn = BACK.map((edge) => this.back(...edge));
    for (const name of Object.keys(NODES)) this.node(name);
    this.svg.append(...drawn.filter(Boolean));
  }

  place(name) {
    return NODES[name][this.wide ? "wide" : "narrow"];
  }

  // From border to border, shifted to the right of its direction by `aside` and bent.
  curve(from, to, bend, aside, at = 0.5) {
    const [a, b] = [this.place(from), this.place(to)];
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
    const length = Math.hypot(dx, dy);
    const [nx, ny] = [-dy / length, dx / length];
    const middle = [0, 1].map((i) => (a[i] + b[i]) / 2 + [nx, ny][i] * bend * length + [nx, ny][i] * aside);
    const start = border(a, NODES[from].size, middle);
    const end = border(b, NODES[to].size, middle);
    const control = bend ? [0, 1].map((i) => 2 * middle[i] - (start[i] + end[i]) / 2) : middle;
    const t = at;
    const label = [0, 1].map((i) => (1 - t) ** 2 * start[i] + 2 * t * (1 - t) * control[i] + t * t * end[i]);
    const angle = Math.atan2(end[1] - control[1], end[0] - control[0]);
    return { path: `M${start} Q${control} ${end}`, label, end, angle, normal: [nx, ny] };
  }

  // x also goes, unseen by the network, into the reconstruction term.
  curveOfData() {
    const d = this.wide ? "M52,177 C52,-28 980,-28 980,162" : "M142,48 C-40,60 -4,600 10,752";
    this.svg.append(make("path", { d, class: "forth", "stroke-dasharray": "2 5" }));
  }

  back(from, to, kind, name, bend = 0, at = 0.5) {
    const gradient = this.app.walk.g.path[name];
    const size = Math.hypot(...gradient.data);
    const { path, label, end, angle } = this.curve(from, to, bend, -9, at);
    const group = make("g", {});
    if (!(size > 0)) return this.nothing(group, label, kind, size);
    const width = Math.min(7, 2 + 1.1 * Math.log10(1 + 30 * size));
    group.append(make("path", { d: path, class: `back ${kind}`, "stroke-width": width }));
    group.append(make("path", { d: "M2,0 L-11,-7 L-11,7 Z", class: `tip ${kind}`,
      transform: `translate(${end}) rotate(${(angle * 180) / Math.PI})` }));
    const words = gradient.data.length <= 2 ? numbersOf(gradient.data) : `‖·‖ ${short(size)}`;
    group.append(make("text", { x: label[0], y: label[1] - 9, class: `grad ${kind}`, "text-anchor": "middle" }, words));
    return group;
  }

  nothing(group, label, kind, size) {
    const words = size === 0 ? "0" : "NaN";
    group.append(make("text", { x: label[0], y: label[1] - 6, class: `grad ${kind}`, "text-anchor": "middle" }, words));
    return group;
  }

  node(name) {
    const [x, y] = this.place(name);
    const [w, h] = NODES[name].size;
    const [title, value, kind] = this.words(name);
    this.svg.append(make("rect", { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 10, class: `node ${kind}` }));
    const picture = { x: this.app.x, f: this.app.shown }[name];
    if (picture && this.app.training.data.shape) {
      this.pixels(picture, x - w / 2 + 6, y - h / 2 + 6, w - 12);
      this.svg.append(make("text", { x, y: y + h / 2 + 15, class: "name", "text-anchor": "middle" }, title));
      return;
    }
    this.svg.append(make("text", { x, y: y - 4, class: "name", "text-anchor": "middle" }, title));
    value.split("\n").forEach((line, i) =>
      this.svg.append(make("text", { x, y: y + 14 + 14 * i, class: "value", "text-anchor": "middle" }, line)));
  }

  pixels(x, left, top, side) {
    const [h, w] = this.app.training.data.shape;
    const ink = colour("ink");
    for (let k = 0; k < h * w; k++) {
      const v = Math.min(1, Math.max(0, x.data[k]));
      if (v < 0.02) continue;
      this.svg.append(make("rect", { x: left + ((k % w) * side) / w, y: top + (Math.floor(k / w) * side) / h,
        width: side / w + 0.3, height: side / h + 0.3, fill: ink, "fill-opacity": v.toFixed(3) }));
    }
  }

  // [name, value, kind of frame] of a node.
  words(name) {
    const { cache, loss } = this.app.walk;
    const { settings, training } = this.app;
    const two = (t) => (training.data.shape ? "" : numbersOf(t.data).replace(", ", "\n"));
    return {
      x: ["x", two(this.app.x), ""],
      h: ["trunk", `${settings.units} units`, ""],
      mu: ["μ", numbersOf(cache.mu.data), ""],
      logvar: ["log σ²", numbersOf(cache.logvar.data), ""],
      eps: ["ε", this.app.noisy ? numbersOf(cache.eps.data) : "none", "noise"],
      z: ["z = μ + σε", numbersOf(cache.z.data), ""],
      hz: ["decoder", `${settings.units} units`, ""],
      f: ["f(z)", two(this.app.shown), ""],
      nll: ["−log p(x | z)", `${short(cache.nll.data[0])} nats`, "rec"],
      kl: ["KL", `${short(cache.kl.sum())} nats`, "kl"],
      loss: ["loss", `${short(cache.nll.data[0])} + ${short(training.beta)} · ${short(cache.kl.sum())}\n= ${short(loss)}`, "both"],
    }[name];
  }
}

// Where the line from a rectangle's middle towards a point leaves it.
function border([x, y], [w, h], [px, py]) {
  const [dx, dy] = [px - x, py - y];
  const t = Math.min(1, (w / 2 + 4) / Math.abs(dx || 1e-9), (h / 2 + 4) / Math.abs(dy || 1e-9));
  return [x + t * dx, y + t * dy];
}

function numbersOf(values) {
  const all = [...values].map((v) => short(v, true));
  return all.length === 1 ? all[0] : `(${all.join(", ")})`;
}
