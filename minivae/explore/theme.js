// Two themes, and their colours for labels: for canvases, which no style sheet reaches.
"use strict";

const LABEL_COLOURS = {
  light: ["#332288", "#CC6677", "#117733", "#B8960C", "#4A9CC7", "#882255", "#2F9A88", "#AA4499", "#7D7D1C", "#555555"],
  dark: ["#9A8FF0", "#F08C9C", "#5CC785", "#E8D47A", "#8FD0F5", "#E07FA8", "#66D3C1", "#DB8BDB", "#C9C960", "#BDBDC6"],
};

function theme() {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

// The button with the id "theme" says what it leads to.
function wearTheme(name) {
  document.documentElement.dataset.theme = name;
  document.getElementById("theme").textContent = name === "dark" ? "light" : "dark";
}

function preferredTheme() {
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function labelColour(label) {
  return LABEL_COLOURS[theme()][((label % 10) + 10) % 10]; // -1 % 10 is -1 here
}

// A colour of the style sheet by its name, such as ink, soft, line, card or accent.
const known = {};
function colour(name) {
  const key = `${theme()} ${name}`;
  known[key] ??= getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return known[key];
}

// [red, green, blue] of "#rrggbb" or "#rgb".
function rgb(hex) {
  const wide = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
  return [1, 3, 5].map((i) => parseInt(wide.slice(i, i + 2), 16));
}
