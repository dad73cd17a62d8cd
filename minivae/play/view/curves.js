// What training has come to: curves over the updates, and rate against distortion.
"use strict";

const POINTS = 500; // a curve longer than this keeps every other point

class Curve extends Picture {
  // used(): whether the model at hand has such a term at all.
  constructor(name, ink, used = () => true) {
    super(`${name}-curve`);
    this.used = used;
    this.now = document.getElementById(`${name}-now`);
    this.ink = ink;
    this.start();
  }

  start() {
    [this.points, this.stride, this.count, this.mean] = [[], 1, 0, null];
  }

  // One update's value, smoothed over about twenty of them.
  add(value) {
    const weight = Math.max(0.05, 1 / (this.count + 1));
    this.mean = this.mean === null ? value : this.mean + weight * (value - this.mean);
    if (this.count++ % this.stride) return;
    this.points.push(this.mean);
    if (this.points.length > POINTS) {
      this.points = this.points.filter((_, i) => i % 2 === 0);
      this.stride *= 2;
    }
  }

  draw() {
    const { pen, width, height } = this.begin();
    this.now.textContent = this.mean === null || !this.used() ? "" : short(this.mean);
    if (this.points.length < 2) return; // too early, or the KL of an autoencoder
    const [low, high] = range(this.points.slice(Math.min(5, this.points.length - 2)));
    const y = (v) => 22 + (1 - (v - low) / (high - low || 1)) * (height - 46);
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = colour("soft");
    pen.fillText(short(low), 6, height - 6);
    pen.textAlign = "right";
    pen.fillText(short(high), width - 6, 14);
    pen.fillText(`${this.count} updates`, width - 6, height - 6);
    pen.textAlign = "left";
    pen.strokeStyle = colour(this.ink);
    pen.lineWidth = 2;
    pen.beginPath();
    this.points.forEach((v, i) => {
      pen[i ? "lineTo" : "moveTo"]((i / (this.points.length - 1)) * width, Math.min(height, Math.max(0, y(v))));
    });
    pen.stroke();
  }
}

function range(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return [sorted[0], sorted[Math.floor(0.98 * (sorted.length - 1))]];
}

// R = mean KL and Δ = mean squared error after a draw, of the data that the plane shows   (E44)
class RateDistortion extends Picture {
  constructor(app) {
    super("rd");
    this.app = app;
  }

  start() {
    [this.trail, this.marks] = [[], []];
  }

  // Nothing for an autoencoder: where there is no posterior, there is no rate.
  measure() {
    const { training, plane } = this.app;
    if (!this.app.noisy) return;
    const n = plane.rows.length;
    this.eps ??= new Tensor([1, SHOWN, 2], normals(0, STREAM.EVALUATE, 0, [0], 2 * SHOWN));
    const noise = new Tensor([1, n, 2], this.eps.data.slice(0, 2 * n));
    const z = training.K.reparameteriseForward(plane.mu, plane.logvar, noise).reshape(n, 2);
    const back = training.decode(z);
    let lost = 0;
    for (let i = 0; i < back.data.length; i++) lost += (back.data[i] - plane.x.data[i]) ** 2;
    const rate = OPS.klForward(plane.mu, plane.logvar).sum() / n;
    if (Number.isFinite(rate + lost)) this.trail.push([rate, lost / n]);
    if (this.trail.length > 600) {
      this.trail.splice(0, 100);
      this.marks = this.marks.map((m) => ({ ...m, at: m.at - 100 })).filter((m) => m.at >= 0);
    }
  }

  // Remember where a slider was moved away from, and what it stood at.
  mark(words) {
    const at = this.trail.length - 1;
    const last = this.marks[this.marks.length - 1];
    if (at < 0) return;
    if (last && at - last.at < 8) last.words = last.words || words;
    else this.marks.push({ at, words });
  }

  draw() {
    const { pen, width, height } = this.begin();
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = colour("soft");
    pen.fillText("distortion: squared error", 6, 14);
    pen.textAlign = "right";
    pen.fillText("rate: KL, nats", width - 6, height - 6);
    pen.textAlign = "left";
    if (!this.trail.length) return;
    // codes without a KL run away, and their rate with them: the last point is always inside
    const [R, D] = this.trail[this.trail.length - 1];
    const far = Math.max(8, 1.25 * R);
    const lost = this.trail.map((p) => p[1]);
    const [least, tall] = [0.8 * Math.min(...lost), Math.max(1.3 * D, quantile(lost, 0.9))];
    const inside = ([r, d]) => r <= far && d <= tall;
    const at = ([r, d]) => [12 + (r / far) * (width - 30), height - 20 - ((d - least) / (tall - least)) * (height - 45)];
    pen.lineWidth = 2;
    this.trail.forEach((point, i) => {
      if (!i || !inside(point) || !inside(this.trail[i - 1])) return;
      pen.globalAlpha = 0.15 + (0.85 * i) / this.trail.length;
      pen.strokeStyle = colour("both");
      pen.beginPath();
      pen.moveTo(...at(this.trail[i - 1]));
      pen.lineTo(...at(point));
      pen.stroke();
    });
    pen.globalAlpha = 1;
    for (const { at: i, words } of this.marks.filter((m) => inside(this.trail[m.at]))) {
      const [x, y] = at(this.trail[i]);
      dot(pen, x, y, 3.5, colour("card"), colour("both"));
      pen.fillStyle = colour("soft");
      pen.textAlign = x > 0.6 * width ? "right" : "left";
      pen.fillText(words, x + (x > 0.6 * width ? -7 : 7), y - 5);
    }
    pen.textAlign = "left";
    dot(pen, ...at([R, D]), 5, colour("both"), colour("card"));
    pen.fillStyle = colour("ink");
    const words = `${short(R)}, ${short(D)}`;
    const [x, y] = at([R, D]);
    pen.fillText(words, Math.min(x + 8, width - 62), Math.max(26, y - 8));
  }
}

function quantile(values, share) {
  return [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))];
}
