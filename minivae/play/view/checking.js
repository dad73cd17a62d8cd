// "Check my gradient", and the box of bugs.
"use strict";

const QUESTIONS = {
  gradient: ["Gradient of every tensor", (r) => `worst ${short(r.worst)} of a tensor's largest entry`],
  integral: ["Is the KL the integral of q log(q/p)?", (r) => `off by ${short(r.worst)} nats`],
  spread: ["Is z's spread the σ the KL pays for?", (r) => `variance off by a share of ${short(r.worst)}`],
  likelihood: ["Does p(x | z) add up to 1?", (r) => `off by ${short(r.worst)}`],
  noise: ["Is the noise new at each update?", (r) => `${short(100 * r.worst)} % the same`],
};

class Checking {
  constructor(app) {
    this.app = app;
    this.select = document.getElementById("bug");
    const options = [["", "none"], ...Object.entries(BUGS).map(([key, bug]) => [key, bug.name])];
    this.select.append(...options.map(([value, text]) => new Option(text, value)));
    this.select.addEventListener("change", () => app.plant(this.select.value));
    document.getElementById("check").addEventListener("click", () => this.run());
    this.show();
  }

  // What is planted, said beside the box and above the pictures; old verdicts are gone.
  show() {
    const { bug } = this.app.settings;
    this.select.value = bug;
    const words = document.getElementById("bug-words");
    words.textContent = bug ? `${BUGS[bug].words} Seen, in a VAE, by: ${this.seenBy(bug)}.` : "No bug is planted: every check should pass.";
    const banner = document.getElementById("planted");
    banner.hidden = !bug;
    banner.textContent = bug ? `A bug is planted: ${BUGS[bug].name}.` : "";
    document.getElementById("verdicts").replaceChildren();
    document.getElementById("tensors").replaceChildren();
  }

  seenBy(bug) {
    return BUGS[bug].caught.map((key) => `“${QUESTIONS[key][0]}”`).join(", ");
  }

  run() {
    const found = checkAll(this.app.training);
    const verdicts = Object.entries(QUESTIONS).map(([key, [question, figure]]) => {
      const card = document.createElement("div");
      const [title, small] = [document.createElement("b"), document.createElement("span")];
      title.textContent = found[key].good ? "✓ right" : "✗ wrong";
      small.textContent = figure(found[key]);
      small.className = "small";
      card.append(title, question, document.createElement("br"), small);
      card.className = found[key].good ? "" : "bad";
      return card;
    });
    document.getElementById("verdicts").replaceChildren(...verdicts);
    this.table(found.gradient.rows);
    return found;
  }

  table(rows) {
    const table = document.getElementById("tensors");
    table.replaceChildren();
    const head = table.createTHead().insertRow();
    for (const words of ["tensor", "shape", "its worst entry, by hand", "by central difference", "off, as a share of the largest", ""]) {
      const cell = document.createElement("th");
      cell.textContent = words;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const r of rows) {
      const line = body.insertRow();
      line.className = r.good ? "" : "bad";
      const cells = [r.name, r.shape.join(" × "), short(r.hand, true), short(r.difference, true), short(r.worst), r.good ? "✓" : "✗"];
      for (const text of cells) line.insertCell().textContent = text;
    }
  }
}
