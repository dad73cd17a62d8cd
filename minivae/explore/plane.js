// A latent plane: where things are on it, and how it is drawn.
"use strict";

const SIDE = 920; // pixels of the canvas, enough for sharp screens
const PIXEL = 2; // of the canvas, for one on a screen of ordinary width

class Plane {
  constructor(canvas, model, data) {
    [this.canvas, this.model, this.data] = [canvas, model, data];
    canvas.width = canvas.height = SIDE;
    this.n = data.rows.length;
    this.J = model.latent;
    this.mu = floats(model.mu); // (N, J)
    this.sd = model.sd ? floats(model.sd) : null;
    this.shade = bytesOf(model.shade);
    this.unit = [0, 1].map((d) => SIDE / (model.high[d] - model.low[d]));
  }

  // Of datum i, the mean (or standard deviation) in the plane's two dimensions.
  inPlane(values, i) {
    return this.model.dims.map((d) => values[i * this.J + d]);
  }

  toCanvas([a, b]) {
    const { low } = this.model;
    return [(a - low[0]) * this.unit[0], SIDE - (b - low[1]) * this.unit[1]];
  }

  toLatent(event) {
    const box = this.canvas.getBoundingClientRect();
    const { low, high } = this.model;
    const [u, v] = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
    return [u, v].map((share, d) => low[d] + Math.min(1, Math.max(0, share)) * (high[d] - low[d]));
  }

  // The datum whose code is nearest, and how far it is in the canvas's pixels.
  nearest(at) {
    const [x, y] = this.toCanvas(at);
    let [best, least] = [0, Infinity];
    for (let i = 0; i < this.n; i++) {
      const [cx, cy] = this.toCanvas(this.inPlane(this.mu, i));
      const d = Math.hypot(cx - x, cy - y);
      if (d < least) [best, least] = [i, d];
    }
    return [best, least];
  }

  offManifold([a, b]) {
    const n = this.model.cells;
    const [x, y] = this.toCanvas([a, b]).map((v) => Math.min(n - 1, Math.max(0, Math.floor((v / SIDE) * n))));
    return this.shade[(n - 1 - y) * n + x] === 1;
  }

  colour(i) {
    return this.data.labels ? labelColour(this.data.labels[i]) : colour("accent");
  }

  // ---- what does not change while the pointer moves
  ground(shown) {
    const sheet = new OffscreenCanvas(SIDE, SIDE);
    const pen = sheet.getContext("2d");
    pen.fillStyle = colour("card");
    pen.fillRect(0, 0, SIDE, SIDE);
    if (shown.shade) this.drawShade(pen);
    if (shown.prior) this.drawPrior(pen);
    if (shown.ellipses && this.sd) this.drawEllipses(pen);
    if (shown.codes) this.drawCodes(pen);
    return sheet;
  }

  drawShade(pen) {
    const n = this.model.cells;
    const cell = SIDE / n;
    pen.fillStyle = colour("shade");
    for (let k = 0; k < n * n; k++)
      if (this.shade[k]) pen.fillRect((k % n) * cell, (n - 1 - Math.floor(k / n)) * cell, cell + 0.5, cell + 0.5);
  }

  drawPrior(pen) {
    pen.strokeStyle = colour("soft");
    pen.lineWidth = 2.4;
    pen.setLineDash([9, 9]);
    for (const sigma of [1, 2, 3]) this.ellipse(pen, [0, 0], [sigma, sigma]);
    pen.setLineDash([]);
  }

  ellipse(pen, middle, [a, b]) {
    pen.beginPath();
    pen.ellipse(...this.toCanvas(middle), a * this.unit[0], b * this.unit[1], 0, 0, 2 * Math.PI);
    pen.stroke();
  }

  drawEllipses(pen) {
    pen.lineWidth = 1.4;
    pen.globalAlpha = 0.5;
    for (let i = 0; i < this.n; i += Math.max(1, Math.floor(this.n / 400))) {
      pen.strokeStyle = this.colour(i);
      this.ellipse(pen, this.inPlane(this.mu, i), this.inPlane(this.sd, i));
    }
    pen.globalAlpha = 1;
  }

  drawCodes(pen) {
    pen.globalAlpha = 0.85;
    for (let i = 0; i < this.n; i++) {
      pen.fillStyle = this.colour(i);
      this.disc(pen, this.toCanvas(this.inPlane(this.mu, i)), this.n > 600 ? 3.6 : 5);
    }
    pen.globalAlpha = 1;
  }

  disc(pen, [x, y], radius) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  }

  // ---- what does: the path, the chosen datum's posterior, and z
  draw(ground, { path, at, chosen }) {
    const pen = this.canvas.getContext("2d");
    pen.drawImage(ground, 0, 0);
    if (path.length > 1) {
      pen.strokeStyle = colour("ink");
      pen.lineWidth = 4;
      pen.beginPath();
      path.forEach((z, i) => pen[i ? "lineTo" : "moveTo"](...this.toCanvas(z)));
      pen.stroke();
    }
    if (chosen !== null) this.drawChosen(pen, chosen);
    for (const [ink, width] of [["card", 7], ["ink", 3]]) {
      pen.strokeStyle = colour(ink);
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc(...this.toCanvas(at), 13, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  drawChosen(pen, i) {
    const mean = this.inPlane(this.mu, i);
    if (this.sd) {
      for (const [ink, width] of [["card", 9], ["accent", 4.5]])
        for (const sigma of [1, 2]) {
          pen.strokeStyle = colour(ink);
          pen.lineWidth = width / sigma;
          this.ellipse(pen, mean, this.inPlane(this.sd, i).map((s) => s * sigma));
        }
    }
    pen.fillStyle = colour("card");
    this.disc(pen, this.toCanvas(mean), 11);
    pen.fillStyle = colour("accent");
    this.disc(pen, this.toCanvas(mean), 8);
  }
}
