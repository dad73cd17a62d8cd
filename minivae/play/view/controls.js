// The switches and sliders: made from SETTINGS, each change told to the application.
"use strict";

class Controls {
  // changed(key): the application's answer to a setting that moved.
  constructor(settings, changed) {
    this.settings = settings;
    this.changed = changed;
    for (const box of document.querySelectorAll(".choice")) this.makeChoice(box, box.dataset.key);
    for (const label of document.querySelectorAll(".slider")) this.makeSlider(label, label.dataset.key);
    this.show();
  }

  makeChoice(box, key) {
    const options = document.createElement("div");
    options.className = "options";
    for (const [value, words] of Object.entries(SETTINGS[key].choices)) {
      const label = document.createElement("label");
      const input = document.createElement("input");
      Object.assign(input, { type: "radio", name: key, value });
      input.addEventListener("change", () => this.set(key, value));
      label.append(input, words);
      options.append(label);
    }
    box.append(options);
  }

  makeSlider(label, key) {
    const [output, input] = [document.createElement("output"), document.createElement("input")];
    const { values } = SETTINGS[key];
    Object.assign(input, { type: "range", min: 0, max: values.length - 1, step: 1 });
    input.setAttribute("aria-label", label.textContent.trim());
    input.addEventListener("input", () => this.set(key, values[Number(input.value)]));
    label.append(output, input);
  }

  set(key, value) {
    this.settings[key] = value;
    this.changed(key);
    this.show();
  }

  // Put every control where the settings are.
  show() {
    const { settings } = this;
    for (const input of document.querySelectorAll(".choice input")) {
      input.checked = settings[input.name] === input.value;
      if (input.value === "bernoulli") input.disabled = !CONTENT.data[settings.data].shape;
    }
    for (const label of document.querySelectorAll(".slider")) {
      const { key } = label.dataset;
      const { values, text } = SETTINGS[key];
      const input = label.querySelector("input");
      input.value = values.indexOf(settings[key]);
      const words = text ? text(settings[key]) : String(settings[key]);
      label.querySelector("output").textContent = words;
      input.setAttribute("aria-valuetext", words);
    }
    const off = { beta: settings.model !== "vae", c: settings.likelihood !== "gaussian", draws: settings.model === "ae" };
    for (const [key, idle] of Object.entries(off)) {
      const label = document.querySelector(`.slider[data-key="${key}"]`);
      label.classList.toggle("off", idle);
      label.querySelector("input").disabled = idle;
    }
  }
}
