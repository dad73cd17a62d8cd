// One model's panel: the latent plane, the decoded picture, the path and its strip.
"use strict";

const SIZE = 460; // CSS pixels of the plane; its canvas is twice that for sharp screens
const SCALE = 2;

const nameOf = (data, label) => (data.names ? data.names[label] : String(label));

class Panel {
  constructor(root, model, data) {
    this.model = model;
    this.data = data;
    this.decoder = new Decoder(model.decoder);
    this.mu = floats(model.mu);
    this.sd = model.sd ? floats(model.sd) : null;
    this.shade = bytesOf(model.shade);
    this.at = [0, 0];
    this.path = [];
    this.drawing = false;
    this.plane = root.querySelector(".plane");
    this.picture = root.querySelector(".decoded");
    this.original = root.querySelector(".original");
    this.strip = root.querySelector(".strip");
    this.readout = root.querySelector(".readout");
    this.plane.width = this.plane.height = SIZE * SCALE;
    this.background = null;
    this.listen();
  }

  // ---- coordinates
  toPlane([a, b]) {
    const { low, high } = this.model;
    const side = SIZE * SCALE;
    return [((a - low[0]) / (high[0] - low[0])) * side, (1 - (b - low[1]) / (high[1] - low[1])) * side];
  }

  toLatent(event) {
    const box = this.plane.getBoundingClientRect();
    const { low, high } = this.model;
    const u = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const v = Math.min(1, Math.max(0, 1 - (event.clientY - box.top) / box.height));
    return [low[0] + u * (high[0] - low[0]), low[1] + v * (high[1] - low[1])];
  }

  full([a, b]) {
    const z = new Float32Array(this.model.latent);
    z[this.model.dims[0]] = a;
    if (this.model.dims.length > 1) z[this.model.dims[1]] = b;
    return z;
  }

  nearest([a, b]) {
    const wide = this.model.high[0] - this.model.low[0];
    const tall = this.model.high[1] - this.model.low[1];
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < this.mu.length / 2; i++) {
      const d = ((this.mu[2 * i] - a) / wide) ** 2 + ((this.mu[2 * i + 1] - b) / tall) ** 2;
      if (d < least) [least, best] = [d, i];
    }
    return best;
  }

  offManifold([a, b]) {
    const n = this.model.cells;
    const { low, high } = this.model;
    const i = Math.min(n - 1, Math.max(0, Math.floor(((a - low[0]) / (high[0] - low[0])) * n)));
    const j = Math.min(n - 1, Math.max(0, Math.floor(((b - low[1]) / (high[1] - low[1])) * n)));
    return this.shade[j * n + i] === 1;
  }

  // ---- drawing
  drawBackground() {
    const side = SIZE * SCALE;
    const sheet = document.createElement("canvas");
    sheet.width = sheet.height = side;
    const pen = sheet.getContext("2d");
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, side, side);
    if (options.shade) this.drawShade(pen, side);
    if (options.ellipses && this.sd) this.drawEllipses(pen);
    if (options.codes) this.drawCodes(pen);
    this.background = sheet;
  }

  drawShade(pen, side) {
    const n = this.model.cells;
    const cell = side / n;
    pen.fillStyle = "#dcdce2";
    for (let j = 0; j < n; j++)
      for (let i = 0; i < n; i++)
        if (this.shade[j * n + i]) pen.fillRect(i * cell, (n - 1 - j) * cell, cell + 0.5, cell + 0.5);
  }

  colour(i) {
    return this.data.labels ? this.data.colours[this.data.labels[i] % this.data.colours.length] : "#0072B2";
  }

  drawEllipses(pen) {
    const { low, high } = this.model;
    const unit = [(SIZE * SCALE) / (high[0] - low[0]), (SIZE * SCALE) / (high[1] - low[1])];
    pen.lineWidth = 1.4;
    pen.globalAlpha = 0.45;
    const every = Math.max(1, Math.floor(this.mu.length / 2 / 250));
    for (let i = 0; i < this.mu.length / 2; i += every) {
      const [x, y] = this.toPlane([this.mu[2 * i], this.mu[2 * i + 1]]);
      pen.strokeStyle = this.colour(i);
      pen.beginPath();
      pen.ellipse(x, y, 2 * this.sd[2 * i] * unit[0], 2 * this.sd[2 * i + 1] * unit[1], 0, 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  drawCodes(pen) {
    pen.globalAlpha = 0.75;
    for (let i = 0; i < this.mu.length / 2; i++) {
      const [x, y] = this.toPlane([this.mu[2 * i], this.mu[2 * i + 1]]);
      pen.fillStyle = this.colour(i);
      pen.beginPath();
      pen.arc(x, y, 3.6, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  draw() {
    if (!this.background) this.drawBackground();
    const pen = this.plane.getContext("2d");
    pen.drawImage(this.background, 0, 0);
    if (this.path.length > 1) {
      pen.strokeStyle = "#111";
      pen.lineWidth = 4;
      pen.beginPath();
      this.path.forEach((z, i) => pen[i ? "lineTo" : "moveTo"](...this.toPlane(z)));
      pen.stroke();
    }
    const [x, y] = this.toPlane(this.at);
    for (const [colour, width] of [["#fff", 7], ["#111", 3]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc(x, y, 13, 0, 2 * Math.PI);
      pen.stroke();
    }
    this.paint(this.picture, this.decoder.decode(this.full(this.at)));
    this.tell();
  }

  tell() {
    const i = this.nearest(this.at);
    const place = this.offManifold(this.at) ? "off the data manifold" : "on the data manifold";
    const label = this.data.labels ? `, label ${nameOf(this.data, this.data.labels[i])}` : "";
    const code = this.at.map((v) => v.toFixed(2)).join(", ");
    this.readout.textContent = `z = (${code}): ${place}. Nearest datum: row ${this.data.rows[i]}${label}.`;
    if (i < this.data.originals) {
      const D = this.data.shape.reduce((a, b) => a * b);
      const bytes = this.data.pictures.subarray(i * D, (i + 1) * D);
      const [low, high] = this.data.limits;
      this.paint(this.original, Float32Array.from(bytes, (v) => low + (v / 255) * (high - low)));
    }
  }

  // Pixels from low to high: grey ones dark on light as ink on paper, colours as they are.
  paint(canvas, pixels) {
    const [h, w, channels = 1] = this.data.shape;
    const [low, high] = this.data.limits;
    const unit = (v) => Math.min(1, Math.max(0, (v - low) / (high - low)));
    canvas.width = w;
    canvas.height = h;
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(w, h);
    for (let k = 0; k < h * w; k++) {
      const grey = 255 * (1 - unit(pixels[k]));
      const colour = (i) => (channels === 3 ? 255 * unit(pixels[3 * k + i]) : grey);
      image.data.set([colour(0), colour(1), colour(2), 255], 4 * k);
    }
    pen.putImageData(image, 0, 0);
  }

  // Twelve pictures at equal distances along the path.
  drawStrip() {
    this.strip.replaceChildren();
    if (this.path.length < 2) return;
    const lengths = [0];
    for (let i = 1; i < this.path.length; i++)
      lengths.push(lengths[i - 1] + Math.hypot(this.path[i][0] - this.path[i - 1][0], this.path[i][1] - this.path[i - 1][1]));
    const whole = lengths[lengths.length - 1];
    for (let k = 0; k < 12; k++) {
      const goal = (whole * k) / 11;
      let i = 1;
      while (i < lengths.length - 1 && lengths[i] < goal) i++;
      const part = (goal - lengths[i - 1]) / Math.max(1e-12, lengths[i] - lengths[i - 1]);
      const z = [0, 1].map((d) => this.path[i - 1][d] + part * (this.path[i][d] - this.path[i - 1][d]));
      const canvas = document.createElement("canvas");
      this.paint(canvas, this.decoder.decode(this.full(z)));
      canvas.className = this.offManifold(z) ? "off" : "on";
      this.strip.append(canvas);
    }
  }

  // ---- mouse, touch, keyboard
  listen() {
    this.plane.addEventListener("pointermove", (e) => {
      this.at = this.toLatent(e);
      if (this.drawing) this.path.push(this.at);
      this.draw();
      if (this.drawing) this.drawStrip();
    });
    this.plane.addEventListener("pointerdown", (e) => {
      this.plane.setPointerCapture(e.pointerId);
      this.drawing = true;
      this.at = this.toLatent(e);
      this.path = [this.at];
      this.draw();
    });
    for (const end of ["pointerup", "pointercancel"])
      this.plane.addEventListener(end, () => { this.drawing = false; });
    this.plane.addEventListener("keydown", (e) => this.key(e));
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    const { low, high } = this.model;
    if (moves[event.key]) {
      const part = event.shiftKey ? 0.1 : 0.01;
      this.at = this.at.map((v, d) =>
        Math.min(high[d], Math.max(low[d], v + part * moves[event.key][d] * (high[d] - low[d]))));
    } else if (event.key === " ") {
      this.path.push(this.at); // the space bar adds a corner to the path
      this.drawStrip();
    } else if (event.key === "Escape") {
      this.path = [];
      this.drawStrip();
    } else return;
    event.preventDefault();
    this.draw();
  }
}
