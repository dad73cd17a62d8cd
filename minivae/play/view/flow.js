// The network as a picture: the datum's way forward, and the gradients' way back, with numbers.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

// Where each node's middle stands, on a wide and on a narrow screen, and its size.
const NODES = {
  x: { wide: [50, 215], narrow: [180, 48], size: [76, 76] },
  h: { wide: [185, 215], narrow: [180, 160], size: [84, 50] },
  mu: { wide: [350, 100], narrow: [72, 274], size: [116, 50] },
  logvar: { wide: [350, 335], narrow: [288, 274], size: [116, 50] },
  eps: { wide: [548, 62], narrow: [178, 500], size: [124, 46] },
  z: { wide: [548, 195], narrow: [72, 420], size: [116, 50] },
  hz: { wide: [703, 195], narrow: [72, 535], size: [84, 50] },
  f: { wide: [850, 195], narrow: [72, 655], size: [76, 76] },
  nll: { wide: [1042, 195], narrow: [84, 800], size: [152, 68] },
  kl: { wide: [703, 360], narrow: [288, 420], size: [96, 50] },
  loss: { wide: [1042, 360], narrow: [284, 800], size: [136, 68] },
};
const WIDE = [0, 0, 1122, 410];
const NARROW = [0, 0, 360, 850];

// [from, to, bend]: a bend is how far the middle is pushed aside, in parts of the length.
const FORTH = [
  ["x", "h"], ["h", "mu"], ["h", "logvar"], ["mu", "z"], ["logvar", "z"], ["eps", "z"], ["z", "hz"],
  ["hz", "f"], ["f", "nll"], ["mu", "kl", 0.16], ["logvar", "kl"], ["nll", "loss"], ["kl", "loss"],
];
// [from, to, kind, what of the path, bend, where along it the number stands, wide and narrow]
const BACK = [
  ["loss", "nll", "rec", "dnll"], ["loss", "kl", "kl", "dkl"], ["nll", "f", "rec", "dout"],
  ["f", "hz", "rec", "dhz"], ["hz", "z", "rec", "dz"], ["z", "mu", "rec", "dmuZ"],
  ["z", "logvar", "rec", "dlogvarZ", 0, [0.3, 0.5]], ["kl", "mu", "kl", "dmuKl", -0.16, [0.72, 0.22]], ["kl", "logvar", "kl", "dlogvarKl"],
  ["mu", "h", "both", "dmu"], ["logvar", "h", "both", "dlogvar"],
];

// What an autoencoder has no gradient of: it has neither σ nor KL.
const UNUSED = new Set(["dkl", "dlogvarZ", "dmuKl", "dlogvarKl", "dlogvar"]);

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
      const { path, end, angle } = this.curve(from, to, bend ?? 0, -5);
      this.svg.append(make("path", { d: path, class: "forth" }), tip(end, angle, 6, "forth"));
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
    const d = "M50,177 C50,-32 1042,-32 1042,159";
    if (this.wide) this.svg.append(make("path", { d, class: "forth", "stroke-dasharray": "2 5" }));
  }

  back(from, to, kind, name, bend = 0, places = [0.5, 0.5]) {
    if (!this.app.noisy && UNUSED.has(name)) return null;
    const gradient = this.app.walk.g.path[name];
    const size = Math.hypot(...gradient.data);
    const { path, label, end, angle, normal } = this.curve(from, to, bend, -9, places[this.wide ? 0 : 1]);
    const group = make("g", {});
    const words = gradient.data.length <= 2 ? [...gradient.data].map((v) => short(v, true)) : [`‖·‖ ${short(size)}`];
    this.number(group, label, normal, kind, words);
    if (!(size > 0)) return group;
    const width = Math.min(7, 2 + 1.1 * Math.log10(1 + 30 * size));
    group.append(make("path", { d: path, class: `back ${kind}`, "stroke-width": width }));
    group.append(tip(end, angle, 13, kind));
    return group;
  }

  // A gradient's numbers, one above the other, on its own side of the arrow.
  number(group, [x, y], [nx, ny], kind, words) {
    const aside = 9 + Math.abs(nx) * 24 + Math.abs(ny) * 7 * words.length;
    words.forEach((text, i) =>
      group.append(make("text", { x: x - nx * aside, y: y - ny * aside + 4 + 13 * (i - (words.length - 1) / 2),
        class: `grad ${kind}`, "text-anchor": "middle" }, text)));
  }

  node(name) {
    const [x, y] = this.place(name);
    const [w, h] = NODES[name].size;
    const [title, value, kind] = this.words(name);
    this.svg.append(make("rect", { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 10, class: `node ${kind}` }));
    const picture = { x: this.app.x, f: this.app.shown }[name];
    if (picture && this.app.training.data.shape) {
      this.pixels(picture, x - w / 2 + 6, y - h / 2 + 6, w - 12);
      const below = this.wide ? { x, y: y + h / 2 + 15, "text-anchor": "middle" } : { x: x + w / 2 + 8, y: y + 5 };
      this.svg.append(make("text", { ...below, class: "name" }, title));
      return;
    }
    const lines = value.split("\n");
    const top = y + 5 - 8 * lines.length;
    this.svg.append(make("text", { x, y: top, class: "name", "text-anchor": "middle" }, title));
    lines.forEach((line, i) =>
      this.svg.append(make("text", { x, y: top + 16 + 15 * i, class: "value", "text-anchor": "middle" }, line)));
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
    const { settings, training, noisy } = this.app; // an autoencoder has no σ, no noise and no KL
    const two = (t) => (training.data.shape ? "" : numbersOf(t.data).replace(", ", "\n"));
    return {
      x: ["x", two(this.app.x), ""],
      h: ["trunk", `${settings.units} units`, ""],
      mu: ["μ", numbersOf(cache.mu.data), ""],
      logvar: ["log σ²", noisy ? numbersOf(cache.logvar.data) : "not used", ""],
      eps: ["ε", noisy ? numbersOf(cache.eps.data) : "none", "noise"],
      z: [noisy ? "z = μ + σε" : "z = μ", numbersOf(cache.z.data), ""],
      hz: ["decoder", `${settings.units} units`, ""],
      f: ["f(z)", two(this.app.shown), ""],
      nll: ["−log p(x | z)", this.reconstruction(cache), "rec"],
      kl: ["KL", noisy ? `${short(cache.kl.sum())} nats` : "not used", "kl"],
      loss: ["loss", noisy ? `${short(cache.nll.data[0])} + ${training.beta} · ${short(cache.kl.sum())}\n= ${short(loss)}` : short(loss), "both"],
    }[name];
  }

  // With a Gaussian the article's C ‖x - f‖² is shown as well; a constant is all that differs (E20).
  reconstruction(cache) {
    const { likelihood, c } = this.app.settings;
    const nats = `${short(cache.nll.data[0])} nats`;
    if (likelihood !== "gaussian") return nats;
    const square = cache.out.data.reduce((sum, v, i) => sum + (v - cache.x.data[i]) ** 2, 0);
    return `C‖x − f(z)‖² = ${short(square / (2 * c))}\n${nats}`;
  }
}

// The head of an arrow that ends there, so many pixels long.
function tip(end, angle, size, kind) {
  const d = `M2,0 L${2 - size},${-0.54 * size} L${2 - size},${0.54 * size} Z`;
  return make("path", { d, class: `tip ${kind}`, transform: `translate(${end}) rotate(${(angle * 180) / Math.PI})` });
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
