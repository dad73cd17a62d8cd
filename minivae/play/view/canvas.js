// A canvas that knows its size on the screen, and the small things all pictures share.
"use strict";

class Picture {
  constructor(id) {
    this.canvas = document.getElementById(id);
  }

  // A cleared pen in CSS pixels, sharp on any screen; width and height beside it.
  begin() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const sharp = Math.min(3, window.devicePixelRatio || 1);
    const [w, h] = [Math.round(width * sharp), Math.round(height * sharp)];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    const pen = this.canvas.getContext("2d");
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineJoin = pen.lineCap = "round";
    return { pen, width, height };
  }

  // Where an event is, from 0 to 1 across and from 0 to 1 down.
  share(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  // Calls move(across, down, event) while a mouse button or a finger is down.
  onDrag(move) {
    let down = false;
    this.canvas.addEventListener("pointerdown", (e) => {
      down = true;
      this.canvas.setPointerCapture(e.pointerId);
      move(...this.share(e), e);
    });
    this.canvas.addEventListener("pointermove", (e) => down && move(...this.share(e), e));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => (down = false));
  }

  // Calls move(dx, dy) for the arrow keys, with steps of one.
  onArrows(move) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    this.canvas.addEventListener("keydown", (e) => {
      if (!steps[e.key]) return;
      e.preventDefault();
      move(...steps[e.key]);
    });
  }
}

// Pictures of h x w grey values in [0, 1], as ink on whatever lies beneath: an image of
// across x down tiles, one pixel apart, taken from the rows of x (N, h w).
function tiles(x, [h, w], across, down, gap = 1) {
  const wide = across * (w + gap);
  const sheet = new OffscreenCanvas(wide, down * (h + gap));
  const pen = sheet.getContext("2d");
  const image = pen.createImageData(sheet.width, sheet.height);
  const [r, g, b] = rgb(colour("ink"));
  for (let n = 0; n < across * down && n < x.shape[0]; n++)
    for (let k = 0; k < h * w; k++) {
      const row = Math.floor(n / across) * (h + gap) + Math.floor(k / w);
      const column = (n % across) * (w + gap) + (k % w);
      const v = Math.min(1, Math.max(0, x.data[n * h * w + k]));
      image.data.set([r, g, b, 255 * v], 4 * (row * wide + column));
    }
  pen.putImageData(image, 0, 0);
  return sheet;
}

// An image of n x n places, coloured by paint(k) -> [r, g, b].
function field(n, paint) {
  const sheet = new OffscreenCanvas(n, n);
  const pen = sheet.getContext("2d");
  const image = pen.createImageData(n, n);
  for (let k = 0; k < n * n; k++) image.data.set([...paint(k), 255], 4 * k);
  pen.putImageData(image, 0, 0);
  return sheet;
}

function dot(pen, x, y, radius, fill, stroke) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
  if (stroke) {
    pen.strokeStyle = stroke;
    pen.lineWidth = 2;
    pen.stroke();
  }
}

function arrow(pen, x0, y0, x1, y1, ink, width = 3) {
  const [length, angle] = [Math.hypot(x1 - x0, y1 - y0), Math.atan2(y1 - y0, x1 - x0)];
  if (!(length > 4)) return;
  const head = Math.min(10, length / 2);
  pen.strokeStyle = pen.fillStyle = ink;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1 - head * Math.cos(angle), y1 - head * Math.sin(angle));
  pen.stroke();
  pen.beginPath();
  pen.moveTo(x1, y1);
  for (const side of [-0.45, 0.45])
    pen.lineTo(x1 - 1.35 * head * Math.cos(angle + side), y1 - 1.35 * head * Math.sin(angle + side));
  pen.fill();
}

// A number in few characters, with its sign where asked: "+0.041", "12.3", "3e-5".
function short(v, signed = false) {
  if (!Number.isFinite(v)) return String(v);
  const size = Math.abs(v);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  let text = size >= 1e5 || (size > 0 && size < 5e-4) ? size.toExponential(0) : size.toFixed(digits);
  text = text.replace("e+", "e");
  return (v < 0 ? "−" : signed ? "+" : "") + text;
}
