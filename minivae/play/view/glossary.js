// Every dotted word explains itself, with its equation and the function that computes it.
"use strict";

function setUpWords() {
  const dialog = document.getElementById("help");
  const [title, text, formula, place] = dialog.querySelectorAll("h3, p");
  const placeOf = (term) => `Equation (${term.equation}) of MATHS.md; in minivae/${term.code}`;
  for (const button of document.querySelectorAll("button.term")) {
    const term = CONTENT.glossary[button.dataset.term];
    button.type = "button";
    button.title = `${term.word}: ${term.formula} (${term.equation})`;
    button.addEventListener("click", (event) => {
      event.preventDefault(); // inside a label it would move the slider
      title.textContent = term.word;
      text.textContent = term.text;
      formula.textContent = term.formula;
      place.textContent = placeOf(term);
      dialog.showModal();
    });
  }
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  const list = document.querySelector("#words dl");
  for (const term of Object.values(CONTENT.glossary)) {
    const box = document.createElement("div");
    for (const [kind, words, className] of [["dt", term.word], ["dd", term.text], ["dd", term.formula, "formula"], ["dd", placeOf(term), "small"]]) {
      const line = document.createElement(kind);
      line.textContent = words;
      if (className) line.className = className;
      box.append(line);
    }
    list.append(box);
  }
}
