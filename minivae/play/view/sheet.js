// Pictures: data with their reconstructions, and what is decoded from draws of the prior.
"use strict";

const ACROSS = 10;

class Sheet extends Picture {
  constructor(app) {
    super("space");
    this.app = app;
    this.codes = new Tensor([5 * ACROSS, 2], normals(0, STREAM.GENERATE, 0, [0], 10 * ACROSS));
  }

  // Two of each label, so that every kind is seen.
  start() {
    const { x, labels } = this.app.training.data;
    const rows = [0, 1].flatMap((nth) =>
      Array.from({ length: 10 }, (_, label) => labels.flatMap((l, i) => (l === label ? [i] : []))[nth]),
    );
    this.x = rowsOf(x, rows);
  }

  draw() {
    const { training } = this.app;
    const { shape } = training.data;
    const { pen, width } = this.begin();
    const [mu] = training.encode(this.x);
    const back = training.decode(mu);
    const made = training.decode(this.codes);
    const margin = width * 0.02;
    const side = (width - 2 * margin) / ACROSS;
    pen.imageSmoothingEnabled = false;
    pen.fillStyle = colour("soft");
    pen.font = `${width < 400 ? 11.5 : 13}px system-ui, sans-serif`;
    let y = 0;
    const line = (words) => {
      pen.fillText(words, margin, y + 0.3 * side);
      y += 0.38 * side;
    };
    const row = (x, down) => {
      pen.drawImage(tiles(x, shape, ACROSS, down), margin, y, ACROSS * side, down * side);
      y += down * side;
    };
    line("data, and beneath each: what comes back from its μ");
    for (const half of [0, 1]) {
      row(part(this.x, half), 1);
      row(part(back, half), 1);
      y += 0.06 * side;
    }
    line("made by the model: z drawn from the prior, decoded");
    row(made, 5);
  }

  words() {
    return "None is picked or left out. Only the VAE's KL ties the codes to the prior that z is drawn from here; on these digits the three models differ little in it, and on the ring they differ much.";
  }
}

// The first or second ten rows.
function part(x, half) {
  const n = ACROSS * x.shape[1];
  return new Tensor([ACROSS, x.shape[1]], x.data.subarray(half * n, half * n + n));
}
