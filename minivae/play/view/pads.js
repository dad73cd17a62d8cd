// Two small fields: the datum, which can be drawn, and the noise, which can be dragged.
"use strict";

class DatumPad extends Picture {
  constructor(app) {
    super("pad");
    this.app = app;
    this.onDrag((u, v) => this.paint(u, v));
    this.onArrows((dx, dy) => this.move(dx, dy));
  }

  // What the keyboard can do: shift the picture by a pixel, or take data of two numbers elsewhere.
  move(dx, dy) {
    const { shape } = this.app.training.data;
    const x = this.app.x.data;
    if (!shape) return this.app.setDatum([x[0] + 0.05 * dx, x[1] + 0.05 * dy].map((v) => Math.min(HALF, Math.max(-HALF, v))));
    const [h, w] = shape;
    const at = (row, column) => (row < 0 || row >= h || column < 0 || column >= w ? 0 : x[row * w + column]);
    return this.app.setDatum(Array.from({ length: h * w }, (_, k) => at(Math.floor(k / w) + dy, (k % w) - dx)));
  }

  // A soft brush on the pixels; for data of two numbers the pad is their space.
  paint(u, v) {
    const { shape } = this.app.training.data;
    if (!shape) return this.app.setDatum([(2 * u - 1) * HALF, (1 - 2 * v) * HALF]);
    const x = this.app.x.data.slice();
    const [h, w] = shape;
    for (let k = 0; k < h * w; k++) {
      const off = Math.hypot(u * w - (k % w) - 0.5, v * h - Math.floor(k / w) - 0.5);
      x[k] = Math.min(1, Math.max(x[k], 1.25 - 0.8 * off));
    }
    return this.app.setDatum(x);
  }

  draw() {
    const { pen, width, height } = this.begin();
    const { shape } = this.app.training.data;
    if (shape) {
      pen.imageSmoothingEnabled = false;
      pen.drawImage(tiles(this.app.x, shape, 1, 1, 0), 0, 0, width, height);
    } else {
      const at = (a, b) => [(a / HALF + 1) * (width / 2), (1 - b / HALF) * (height / 2)];
      const { x, labels } = this.app.training.data;
      for (const i of this.app.plane.rows)
        dot(pen, ...at(x.data[2 * i], x.data[2 * i + 1]), 1.3, labelColour(labels[i]));
      dot(pen, ...at(...this.app.x.data), 6, colour("ink"), colour("card"));
    }
    const { row } = this.app;
    const label = shape && row !== null ? `, a ${this.app.training.data.labels[row]}` : "";
    document.getElementById("datum-name").textContent = row === null ? "yours" : `row ${row}${label}`;
    document.getElementById("pad-words").textContent = shape ? "Draw on it, or shift it by the arrow keys." : "Click anywhere, or use the arrow keys.";
    document.getElementById("clear").hidden = !shape;
  }
}

class NoisePad extends Picture {
  constructor(app) {
    super("eps");
    this.app = app;
    this.onDrag((u, v) => app.setEps([(2 * u - 1) * 3, (1 - 2 * v) * 3]));
    this.onArrows((dx, dy) => app.moveEps(0.1 * dx, 0.1 * dy));
  }

  draw() {
    const { pen, width, height } = this.begin();
    const noisy = Boolean(this.app.noisy);
    const at = (a, b) => [(a / 3 + 1) * (width / 2), (1 - b / 3) * (height / 2)];
    const glow = pen.createRadialGradient(...at(0, 0), 0, ...at(0, 0), width / 2);
    // the density of N(0, I) along a radius of three
    const [r, g, b] = rgb(colour("accent"));
    for (let i = 0; i <= 12; i++) glow.addColorStop(i / 12, `rgba(${r},${g},${b},${0.45 * Math.exp(-0.5 * (i / 4) ** 2)})`);
    pen.fillStyle = glow;
    pen.globalAlpha = noisy ? 1 : 0.25;
    pen.fillRect(0, 0, width, height);
    pen.strokeStyle = colour("soft");
    pen.setLineDash([3, 4]);
    for (const sigma of [1, 2, 3]) {
      pen.beginPath();
      pen.arc(...at(0, 0), (sigma * width) / 6, 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    const eps = noisy ? this.app.eps : [0, 0];
    if (noisy) dot(pen, ...at(...eps), 7, colour("accent"), colour("card"));
    document.getElementById("eps-name").textContent = noisy
      ? `= (${eps.map((v) => v.toFixed(2).replace("-", "−")).join(", ")})` : "— none here";
  }
}
