// The application: settings, one training run, one chosen datum, and the pictures of them.
"use strict";

const BUDGET = 12; // milliseconds of training in a frame, so that the page stays quick
const MOST = 45; // and where drawing a frame takes long

class App {
  constructor() {
    this.settings = fromLink(location.hash);
    this.eps = [0.8, 0.6];
    this.training = trainingFrom(this.settings);
    this.plane = new LatentPlane(this);
    this.spaces = { pictures: new Sheet(this), points: new DataSpace(this) };
    this.curves = { loss: new Curve("loss", "both"), nll: new Curve("nll", "rec"), kl: new Curve("kl", "kl", () => this.noisy) };
    this.rd = new RateDistortion(this);
    this.pads = [new DatumPad(this), new NoisePad(this)];
    this.flow = new Flow(this);
    this.checking = new Checking(this);
    this.controls = new Controls(this.settings, (key) => this.changed(key));
    this.start();
  }

  // 1 where z is drawn with noise, 0 in an autoencoder.
  get noisy() {
    return Number(MODELS[this.settings.model].noise);
  }

  get space() {
    return this.training.data.shape ? this.spaces.pictures : this.spaces.points;
  }

  // ---- what the controls do
  start() {
    this.training = trainingFrom(this.settings);
    [this.frame, this.credit, this.speed, this.stopped, this.last, this.done] = [0, 0, 0, "", undefined, null];
    this.plane.start();
    this.space.start();
    for (const curve of Object.values(this.curves)) curve.start();
    this.rd.start();
    this.knobs = this.knobWords();
    this.space.canvas.tabIndex = this.training.data.shape ? -1 : 0; // pictures take no keys
    document.getElementById("space-title").textContent = this.training.data.shape ? "Pictures" : "Data space";
    document.getElementById("space-words").textContent = this.space.words();
    this.legend();
    this.choose(this.plane.rows[0]);
    this.everything();
  }

  // All settings as a link has them.
  follow(link) {
    Object.assign(this.settings, fromLink(link));
    history.replaceState(null, "", toLink(this.settings));
    this.controls.show();
    this.checking.show();
    this.start();
  }

  changed(key) {
    if (key === "data") Object.assign(this.settings, { ...startOf(this.settings.data), model: this.settings.model, speed: this.settings.speed, bug: this.settings.bug });
    history.replaceState(null, "", toLink(this.settings));
    if (SETTINGS[key].restarts) return this.start();
    if (key in this.knobs) this.rd.mark(this.knobs[key]);
    const { hidden } = this.training.settings;
    this.training.settings = { ...this.settings, hidden };
    this.knobs = this.knobWords();
    this.stopped = "";
    return this.everything();
  }

  // What moves along the rate–distortion curve, in words for a mark where it was moved.
  knobWords() {
    const { model, beta, c } = this.settings;
    return { model: SETTINGS.model.choices[model], beta: `β ${beta}`, c: `c ${c}` };
  }

  plant(bug) {
    this.settings.bug = bug;
    this.training.K = bug ? BUGS[bug].plant(OPS) : OPS;
    history.replaceState(null, "", toLink(this.settings));
    this.checking.show();
    this.rewalk();
  }

  toggle(on = !this.running) {
    if (on === this.running) return;
    this.running = on;
    // a screen reader is not told of every frame, but of where the training stands when it pauses
    document.getElementById("status").setAttribute("aria-live", on ? "off" : "polite");
    document.getElementById("train").textContent = on ? "Pause" : "Train";
    if (on) requestAnimationFrame((now) => this.tick(now));
    else this.status(); // the speed is no longer true
  }

  // ---- the chosen datum
  choose(row) {
    const { x } = this.training.data;
    this.row = ((row % x.shape[0]) + x.shape[0]) % x.shape[0];
    this.x = rowsOf(x, [this.row]);
    this.rewalk();
  }

  setDatum(values) {
    this.row = null;
    this.x = new Tensor([1, values.length], Float64Array.from(values));
    this.rewalk();
  }

  setEps(eps) {
    this.eps = eps.map((v) => Math.min(3, Math.max(-3, v)));
    this.rewalk();
  }

  moveEps(da, db) {
    this.setEps([this.eps[0] + da, this.eps[1] + db]);
  }

  rewalk() {
    this.walk = walkOf(this.training, this.x, this.eps);
    this.shown = this.training.decode(this.walk.cache.z.reshape(1, 2));
    if (!this.plane.mu) this.plane.encode();
    this.plane.draw();
    if (!this.training.data.shape) this.space.draw();
    for (const pad of this.pads) pad.draw();
    this.flow.draw();
    showPaths(this.walk, this.noisy);
  }

  // ---- training
  update() {
    const done = this.training.update();
    if (!done) {
      this.stopped = "The loss is no longer a finite number. Start again, with a smaller learning rate perhaps.";
      this.toggle(false);
      return false;
    }
    this.done = { ...done, beta: this.training.beta, noisy: this.noisy }; // they may be moved before the next
    for (const [name, curve] of Object.entries(this.curves)) if (curve.used()) curve.add(done[name]);
    return true;
  }

  tick(now) {
    if (!this.running) return;
    const since = Math.min(1, (now - (this.last ?? now)) / 1000);
    this.last = now;
    this.credit = Math.min(this.credit + since * this.settings.speed, Math.max(1, this.settings.speed));
    const [began, before] = [performance.now(), this.training.t];
    const budget = Math.min(MOST, Math.max(BUDGET, 600 * since)); // a slow frame trains for longer
    while ((this.settings.speed === Infinity || this.credit >= 1) && performance.now() - began < budget) {
      this.credit -= 1;
      if (!this.update()) break;
    }
    if (since > 0) this.speed += 0.08 * ((this.training.t - before) / since - this.speed);
    this.frame += 1;
    this.pictures(this.training.t !== before);
    requestAnimationFrame((next) => this.tick(next));
  }

  // A frame's share of drawing: the plane every other one, the dearer pictures in turn.
  pictures(moved) {
    if (!moved) return;
    if (this.settings.speed !== Infinity) {
      this.rd.measure();
      return this.everything();
    }
    const turn = this.frame % 12;
    if (turn % 4 === 0) this.plane.decode();
    if (turn % 2 === 0) {
      this.plane.encode();
      this.walk = walkOf(this.training, this.x, this.eps);
      this.plane.draw();
    }
    if (turn % 4 === 2) this.space.draw();
    if (turn === 1) {
      this.rd.measure();
      this.rd.draw();
    }
    if (turn === 5) for (const curve of Object.values(this.curves)) curve.draw();
    if (turn === 3 || turn === 9) {
      this.shown = this.training.decode(this.walk.cache.z.reshape(1, 2));
      this.flow.draw();
      showPaths(this.walk, this.noisy);
      this.status();
    }
    return undefined;
  }

  // All pictures at once, after anything but an update.
  everything() {
    this.plane.encode();
    this.plane.decode();
    this.rewalk();
    this.space.draw();
    for (const curve of Object.values(this.curves)) curve.draw();
    this.rd.draw();
    this.status();
  }

  status() {
    const parts = [`update ${this.training.t.toLocaleString("en")}`];
    if (this.running && this.speed >= 1) parts.push(`${Math.round(this.speed)} a second`);
    if (this.done) {
      const { loss, nll, kl, beta, noisy } = this.done; // as the last update had them
      parts.push(`loss ${short(loss)} = reconstruction ${short(nll)}${noisy ? ` + ${beta} × KL ${short(kl)}` : ""}`);
    }
    document.getElementById("status").textContent = this.stopped || parts.join(" · ");
  }

  legend() {
    const place = document.getElementById("legend");
    const { labels } = this.training.data;
    const items = [...new Set(labels)].sort((a, b) => a - b).map((label) => {
      const [item, mark] = [document.createElement("span"), document.createElement("i")];
      mark.style.background = labelColour(label);
      item.append(mark, String(label));
      return item;
    });
    place.replaceChildren(...items, `(${CONTENT.data[this.settings.data].meaning}; the models do not see it)`);
  }
}

wearTheme(preferredTheme());
setUpWords();
const app = new App();
setUp(app);
setUpTours(app);
