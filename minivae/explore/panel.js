// One model's panel: its plane, the decoded picture, what is read off, the path and its strip.
"use strict";

const STRIP = 12;
const NEAR = 14 * PIXEL; // a click this near a code chooses it

class Panel {
  // choose(i, by): tell every panel which datum is chosen, or null, and by which of them.
  constructor(root, model, data, shown, choose) {
    Object.assign(this, { model, data, shown, choose });
    this.decoder = new Decoder(model.decoder);
    this.deviation = model.deviation && floats(model.deviation);
    this.plane = new Plane(root.querySelector(".plane"), model, data);
    const part = (name) => root.querySelector(`.${name}`);
    [this.picture, this.original, this.strip, this.readout] = ["decoded", "original", "strip", "readout"].map(part);
    this.whose = part("whose");
    Object.assign(this, { at: [0, 0], path: [], chosen: null, ground: null, pressed: false });
    this.listen();
  }

  // A whole code: the plane's two numbers; the others rest at the chosen datum's mean, or at 0.
  full([a, b]) {
    const { plane } = this;
    const start = this.chosen === null ? 0 : this.chosen * plane.J;
    const z = this.chosen === null ? new Float32Array(plane.J) : plane.mu.slice(start, start + plane.J);
    [z[this.model.dims[0]], z[this.model.dims[1]]] = [a, b];
    return z;
  }

  // Whether the shading speaks of these codes: it was measured with the other dimensions at 0.
  get judged() {
    return this.chosen === null || this.plane.J === 2;
  }

  // μ + σ ε of datum i in the plane; the code itself where there is no σ.
  drawn(i, eps) {
    const { plane } = this;
    const mu = plane.inPlane(plane.mu, i);
    return plane.sd ? plane.inPlane(plane.sd, i).map((s, d) => mu[d] + s * eps[d]) : mu;
  }

  // ε with the signs that lead from datum i's mean towards the plane's middle.
  inwards(i, eps) {
    const { low, high } = this.model;
    const mu = this.plane.inPlane(this.plane.mu, i);
    return eps.map((e, d) => (2 * mu[d] > low[d] + high[d] ? -e : e));
  }

  draw() {
    this.ground ??= this.plane.ground(this.shown);
    this.plane.draw(this.ground, this);
    const z = this.full(this.at);
    paint(this.picture, this.decoder.decode(z), this.data);
    this.tell(z);
  }

  redraw() {
    this.ground = null;
    this.draw();
    this.drawStrip();
  }

  tell(z) {
    const i = this.chosen ?? this.plane.nearest(this.at)[0];
    const label = this.data.labels ? `, label ${nameOf(this.data, this.data.labels[i])}` : "";
    const lack = i < this.data.originals ? "" : " (its picture is not in the page)";
    this.whose.textContent = `${this.chosen === null ? "nearest datum" : "chosen, x"}: row ${this.data.rows[i]}${label}${lack}`;
    if (lack) this.original.width = this.original.height = 1; // empties it
    else paint(this.original, this.pixels(i), this.data);
    const lines = [["z", pair(this.at)]];
    if (this.judged) lines.push(["here", `${this.plane.offManifold(this.at) ? "off" : "on"} the data manifold`]);
    if (this.chosen !== null) lines.push(...this.terms(i, z));
    this.readout.replaceChildren(
      ...lines.flatMap(([name, value, kind]) => {
        const [term, words] = [document.createElement("dt"), document.createElement("dd")];
        [term.textContent, words.textContent] = [name, value];
        if (kind) words.className = kind;
        return [term, words];
      }),
    );
  }

  pixels(i) {
    const D = this.data.x.length / this.data.originals;
    return this.data.x.subarray(i * D, (i + 1) * D);
  }

  // Of the chosen datum at this z: posterior, noise and the terms of the loss, as [name, value].
  terms(i, z) {
    const { plane, model } = this;
    const mu = plane.inPlane(plane.mu, i);
    const lines = [];
    const known = i < this.data.originals;
    const out = this.decoder.output(z);
    const square = known ? squaredError(this.decoder.decode(z), this.pixels(i)).toFixed(3) : "not in the page";
    if (!plane.sd) return [["e(x)", pair(mu)], ["‖x − f(z)‖²", square]];
    const sd = plane.inPlane(plane.sd, i);
    lines.push(["μ", pair(mu)], ["σ", pair(sd, 3)], ["ε = (z − μ)/σ", pair(mu.map((m, d) => (this.at[d] - m) / sd[d]))]);
    const whole = (values) => Array.from(values.subarray(i * plane.J, (i + 1) * plane.J));
    const kl = klOf(whole(plane.mu), whole(plane.sd));
    const nll = known ? nllOf(model, this.deviation, out, this.pixels(i)) : null;
    lines.push(["‖x − f(z)‖²", square], ["KL", `${kl.toFixed(3)} nats`, "kl"]);
    if (nll === null) return lines;
    lines.push(["−log p(x | z)", `${nll.toFixed(3)} nats`, "rec"]);
    lines.push(["loss", `${nll.toFixed(3)} + ${model.beta} · ${kl.toFixed(3)} = ${(nll + model.beta * kl).toFixed(3)}`, "both"]);
    return lines;
  }

  // Twelve pictures at equal distances along the path.
  drawStrip() {
    this.strip.replaceChildren();
    if (this.path.length < 2) return;
    for (const z of alongPath(this.path, STRIP)) {
      const canvas = document.createElement("canvas");
      paint(canvas, this.decoder.decode(this.full(z)), this.data);
      if (this.judged) canvas.className = this.plane.offManifold(z) ? "off" : "on";
      this.strip.append(canvas);
    }
  }

  // ---- mouse, touch, keyboard
  listen() {
    const { canvas } = this.plane;
    canvas.addEventListener("pointermove", (e) => {
      this.at = this.plane.toLatent(e);
      if (this.pressed) this.trail.push(this.at);
      if (this.pressed && this.trail.length > 3) this.path = this.trail;
      this.draw();
      if (this.pressed) this.drawStrip();
    });
    canvas.addEventListener("pointerdown", (e) => {
      canvas.setPointerCapture(e.pointerId);
      this.pressed = true;
      this.at = this.plane.toLatent(e);
      this.trail = [this.at];
      this.draw();
    });
    canvas.addEventListener("pointerup", () => {
      if (this.pressed && this.trail.length <= 3) this.pick();
      this.pressed = false;
    });
    canvas.addEventListener("pointercancel", () => (this.pressed = false));
    canvas.addEventListener("keydown", (e) => this.key(e));
  }

  // A press without a path chooses the datum beneath it.
  pick() {
    const [i, off] = this.plane.nearest(this.at);
    if (off <= NEAR) this.choose(i, this);
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    const { low, high } = this.model;
    if (moves[event.key]) {
      const part = event.shiftKey ? 0.1 : 0.01;
      this.at = this.at.map((v, d) =>
        Math.min(high[d], Math.max(low[d], v + part * moves[event.key][d] * (high[d] - low[d]))));
    } else if (event.key === "Enter") this.choose(this.plane.nearest(this.at)[0], this);
    else if (event.key === " ") this.path = [...this.path, this.at]; // adds a corner
    else if (event.key === "Escape") {
      this.path = [];
      this.choose(null);
    } else return;
    event.preventDefault();
    this.draw();
    this.drawStrip();
  }
}

function pair(values, digits = 2) {
  return `(${values.map((v) => v.toFixed(digits)).join(", ")})`;
}

// A label in words where it has any.
function nameOf({ names }, label) {
  return names?.[label] ?? String(label);
}

// n points at equal distances along a path of straight pieces.
function alongPath(path, n) {
  const lengths = [0];
  for (let i = 1; i < path.length; i++)
    lengths.push(lengths[i - 1] + Math.hypot(path[i][0] - path[i - 1][0], path[i][1] - path[i - 1][1]));
  const whole = lengths[lengths.length - 1];
  return Array.from({ length: n }, (_, k) => {
    const goal = (whole * k) / (n - 1);
    let i = 1;
    while (i < lengths.length - 1 && lengths[i] < goal) i++;
    const part = (goal - lengths[i - 1]) / Math.max(1e-12, lengths[i] - lengths[i - 1]);
    return [0, 1].map((d) => path[i - 1][d] + part * (path[i][d] - path[i - 1][d]));
  });
}

// Values (h, w) or (h, w, 3) of a datum as a picture: colours, greys, or ink on the page's paper.
function paint(canvas, values, { shape: [h, w, channels = 1], look }) {
  [canvas.width, canvas.height] = [w, h];
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(w, h);
  const ink = rgb(colour("ink"));
  const level = (k) => Math.min(1, Math.max(0, (values[k] - look.low) / (look.high - look.low)));
  for (let k = 0; k < h * w; k++) {
    const three = [0, 1, 2].map((c) => 255 * level(channels === 3 ? 3 * k + c : k));
    image.data.set(look.ink ? [...ink, three[0]] : [...three, 255], 4 * k);
  }
  pen.putImageData(image, 0, 0);
}
