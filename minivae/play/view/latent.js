// The latent plane while it learns: posteriors, the decoded plane behind them, the prior's rings.
"use strict";

const SHOWN = 300; // data whose posteriors are drawn
const TILES = 15; // decoded pictures a side, behind
const CELLS = 40; // decoded places a side, behind, for data of two numbers

class LatentPlane extends Picture {
  constructor(app) {
    super("plane");
    this.app = app;
    this.radius = 3.4; // half of the plane's side, in units of z
    this.onDrag((u, v, event) => this.touch(u, v, event));
    this.onArrows((dx, dy) => app.moveEps(0.1 * dx, 0.1 * dy));
  }

  // Some rows drawn at random, always the same ones.
  start() {
    const { x, labels } = this.app.training.data;
    this.rows = permutation(0, 0, x.shape[0]).slice(0, SHOWN);
    this.labels = this.rows.map((row) => labels[row]);
    this.x = rowsOf(x, this.rows);
    this.radius = 3.4;
  }

  // Where the posteriors are now, and how far out the plane must reach.
  encode() {
    [this.mu, this.logvar] = this.app.training.encode(this.x);
    const reach = [];
    for (let i = 0; i < this.mu.data.length; i++)
      reach.push(Math.abs(this.mu.data[i]) + Math.min(3, Math.exp(this.logvar.data[i] / 2)) * this.app.noisy);
    reach.sort((a, b) => a - b);
    const wanted = Math.max(3.4, 1.12 * reach[Math.floor(0.985 * reach.length)]);
    if (Number.isFinite(wanted)) this.radius += (wanted - this.radius) * 0.25;
  }

  // What the decoder makes of a grid of codes.
  decode() {
    const { training } = this.app;
    const { shape } = training.data;
    const n = shape ? TILES : CELLS;
    const z = new Tensor([n * n, 2]);
    for (let k = 0; k < n * n; k++) {
      z.data[2 * k] = ((2 * (k % n) + 1) / n - 1) * this.radius;
      z.data[2 * k + 1] = (1 - (2 * Math.floor(k / n) + 1) / n) * this.radius;
    }
    const made = training.decode(z);
    this.backdrop = shape ? tiles(made, shape, n, n) : field(n, (k) => placeColour(made.data[2 * k], made.data[2 * k + 1]));
  }

  at(a, b) {
    return [(a / this.radius + 1) * (this.side / 2), (1 - b / this.radius) * (this.side / 2)];
  }

  draw() {
    const { pen, width } = this.begin();
    this.side = width;
    const pictures = Boolean(this.app.training.data.shape);
    pen.imageSmoothingEnabled = !pictures;
    pen.globalAlpha = pictures ? 0.3 : 0.8;
    if (this.backdrop) pen.drawImage(this.backdrop, 0, 0, width, width);
    pen.globalAlpha = 1;
    this.drawRings(pen);
    this.drawPosteriors(pen, width / 2 / this.radius);
    this.drawChosen(pen, width / 2 / this.radius);
  }

  drawRings(pen) {
    const [x, y] = this.at(0, 0);
    pen.setLineDash([5, 5]);
    pen.strokeStyle = colour("ink");
    pen.fillStyle = colour("ink");
    pen.font = "12px system-ui, sans-serif";
    for (const sigma of [1, 2, 3]) {
      const r = (sigma * this.side) / 2 / this.radius;
      pen.lineWidth = 1.3;
      pen.globalAlpha = 0.75;
      pen.beginPath();
      pen.arc(x, y, r, 0, 2 * Math.PI);
      pen.stroke();
      if (r > 26 * sigma ** 0.3) pen.fillText(`${sigma}σ`, x + 3, y - r - 3);
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  drawPosteriors(pen, unit) {
    pen.lineWidth = 1.1;
    for (let i = 0; i < this.rows.length; i++) {
      const [x, y] = this.at(this.mu.data[2 * i], this.mu.data[2 * i + 1]);
      const ink = labelColour(this.labels[i]);
      if (this.app.noisy) {
        const [rx, ry] = [0, 1].map((j) => Math.min(4000, Math.exp(this.logvar.data[2 * i + j] / 2) * unit));
        pen.strokeStyle = pen.fillStyle = ink;
        pen.beginPath();
        pen.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
        pen.globalAlpha = 0.07;
        pen.fill();
        pen.globalAlpha = 0.6;
        pen.stroke();
        pen.globalAlpha = 1;
      }
      dot(pen, x, y, this.app.noisy ? 2.2 : 3.4, ink);
    }
  }

  // The chosen datum: its posterior, z, and how the two terms pull at its mean.
  drawChosen(pen, unit) {
    const { mu, logvar, z } = this.app.walk.cache;
    const { dmuZ, dmuKl } = this.app.walk.g.path;
    const [x, y] = this.at(...mu.data);
    if (this.app.noisy) {
      pen.beginPath();
      pen.ellipse(x, y, ...[0, 1].map((j) => Math.min(4000, Math.exp(logvar.data[j] / 2) * unit)), 0, 0, 2 * Math.PI);
      pen.strokeStyle = colour("card");
      pen.lineWidth = 6;
      pen.stroke();
      pen.strokeStyle = colour("ink");
      pen.lineWidth = 2.6;
      pen.stroke();
      dot(pen, ...this.at(...z.data), 6.5, colour("accent"), colour("card"));
    }
    dot(pen, x, y, 4.5, colour("ink"), colour("card"));
    const largest = Math.max(Math.hypot(...dmuZ.data), Math.hypot(...dmuKl.data), 1e-12);
    const length = 46 / largest;
    // descent moves against the gradient
    arrow(pen, x, y, x - length * dmuZ.data[0], y + length * dmuZ.data[1], colour("rec"), 3.5);
    arrow(pen, x, y, x - length * dmuKl.data[0], y + length * dmuKl.data[1], colour("kl"), 3.5);
  }

  // A press chooses the datum with the nearest mean; near z it takes hold of z instead.
  touch(u, v, event) {
    const [a, b] = [(2 * u - 1) * this.radius, (1 - 2 * v) * this.radius];
    const { mu, logvar, z } = this.app.walk.cache;
    if (event.type === "pointerdown") {
      const near = Math.hypot(a - z.data[0], b - z.data[1]) < (18 / this.side) * 2 * this.radius;
      this.holding = near && Boolean(this.app.noisy);
      if (!this.holding) this.app.choose(this.rows[this.nearest(a, b)]);
    }
    if (!this.holding) return;
    const eps = [a, b].map((value, j) => (value - mu.data[j]) / Math.exp(logvar.data[j] / 2));
    this.app.setEps(eps);
  }

  nearest(a, b) {
    let [best, least] = [0, Infinity];
    for (let i = 0; i < this.rows.length; i++) {
      const d = Math.hypot(this.mu.data[2 * i] - a, this.mu.data[2 * i + 1] - b);
      if (d < least) [best, least] = [i, d];
    }
    return best;
  }
}

// Some rows of x (N, D).
function rowsOf(x, rows) {
  const D = x.shape[1];
  const found = new Tensor([rows.length, D]);
  rows.forEach((row, n) => found.data.set(x.data.subarray(row * D, row * D + D), n * D));
  return found;
}
