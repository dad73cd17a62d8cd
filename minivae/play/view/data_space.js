// Data of two numbers: the space they live in, and what the decoder spreads over it.
"use strict";

const HALF = 1.75; // half of the side, in units of x
const GRID_LINES = [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2];
const GENERATED = 250;

class DataSpace extends Picture {
  constructor(app) {
    super("space");
    this.app = app;
    this.onDrag((u, v) => app.training.data.shape || app.setDatum([(2 * u - 1) * HALF, (1 - 2 * v) * HALF]));
    this.onArrows((dx, dy) => app.training.data.shape || app.pads[0].move(dx, dy));
    const n = 2 * GENERATED;
    this.codes = new Tensor([GENERATED, 2], normals(0, STREAM.GENERATE, 0, [0], n));
  }

  start() {
    this.colours = "";
  }

  at(a, b) {
    return [(a / HALF + 1) * (this.side / 2), (1 - b / HALF) * (this.side / 2)];
  }

  // The same map of colours that the latent plane shows, laid out where it is defined.
  ground() {
    if (this.colours !== theme()) {
      const place = (i) => ((2 * i + 1) / 64 - 1) * HALF;
      this.sheet = field(64, (k) => placeColour(place(k % 64), -place(Math.floor(k / 64))));
      this.colours = theme();
    }
    return this.sheet;
  }

  draw() {
    const { pen, width } = this.begin();
    this.side = width;
    pen.globalAlpha = 0.8;
    pen.drawImage(this.ground(), 0, 0, width, width);
    pen.globalAlpha = 1;
    this.drawGrid(pen);
    this.drawData(pen);
    this.drawGenerated(pen);
    this.drawChosen(pen);
  }

  // Lines of constant z₁ and of constant z₂, decoded.
  drawGrid(pen) {
    const steps = 40;
    const z = new Tensor([2 * GRID_LINES.length * (steps + 1), 2]);
    let n = 0;
    for (const j of [0, 1])
      for (const fixed of GRID_LINES)
        for (let k = 0; k <= steps; k++, n++) {
          z.data[2 * n + j] = fixed;
          z.data[2 * n + 1 - j] = (4 * k) / steps - 2;
        }
    const x = this.app.training.decode(z);
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1;
    pen.globalAlpha = 0.4;
    for (let start = 0; start < n; start += steps + 1) {
      pen.beginPath();
      for (let k = start; k <= start + steps; k++)
        pen[k > start ? "lineTo" : "moveTo"](...this.at(x.data[2 * k], x.data[2 * k + 1]));
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  drawData(pen) {
    const { x, labels } = this.app.training.data;
    pen.globalAlpha = 0.85;
    for (let i = 0; i < x.shape[0]; i++)
      dot(pen, ...this.at(x.data[2 * i], x.data[2 * i + 1]), 2.1, labelColour(labels[i]));
    pen.globalAlpha = 1;
  }

  // What the model makes from the prior: small crosses.
  drawGenerated(pen) {
    const made = this.app.training.decode(this.codes);
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1.3;
    for (let i = 0; i < GENERATED; i++) {
      const [x, y] = this.at(made.data[2 * i], made.data[2 * i + 1]);
      pen.beginPath();
      pen.moveTo(x - 2.6, y);
      pen.lineTo(x + 2.6, y);
      pen.moveTo(x, y - 2.6);
      pen.lineTo(x, y + 2.6);
      pen.stroke();
    }
  }

  // The chosen datum, what comes back of it, and one √c around that.
  drawChosen(pen) {
    const { x, out } = this.app.walk.cache;
    const [a, b] = [this.at(...x.data), this.at(...out.data)];
    pen.strokeStyle = colour("rec");
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.moveTo(...a);
    pen.lineTo(...b);
    pen.stroke();
    pen.setLineDash([4, 4]);
    pen.beginPath();
    pen.arc(...b, (Math.sqrt(this.app.settings.c) / HALF) * (this.side / 2), 0, 2 * Math.PI);
    pen.stroke();
    pen.setLineDash([]);
    dot(pen, ...a, 6, colour("ink"), colour("card"));
    dot(pen, ...b, 6, colour("accent"), colour("card"));
  }

  words() {
    return "Dots: the data, by label. Crosses: decoded draws from the prior. Lines: the latent grid, decoded. " +
      "Large dots: the chosen datum and its f(z), with √c around it. Click anywhere to make that place the datum. " +
      "Each place has a colour; the latent plane shows with it where a code decodes to.";
  }
}
