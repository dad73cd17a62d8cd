// Colours for both themes: labels, the map that colours places in data space, and mixing.
"use strict";

const LABEL_COLOURS = {
  light: ["#332288", "#CC6677", "#117733", "#B8960C", "#4A9CC7", "#882255", "#2F9A88", "#AA4499", "#7D7D1C", "#555555"],
  dark: ["#9A8FF0", "#F08C9C", "#5CC785", "#E8D47A", "#8FD0F5", "#E07FA8", "#66D3C1", "#DB8BDB", "#C9C960", "#BDBDC6"],
};

function theme() {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

function labelColour(label) {
  return LABEL_COLOURS[theme()][label % 10];
}

// A colour of the style sheet by its name: ink, soft, line, card, rec, kl, both, accent.
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

// Every place of a plane has a colour of its own: the hue by direction, paler towards the middle.
function placeColour(a, b) {
  const hue = (Math.atan2(b, a) / (2 * Math.PI) + 1) % 1;
  const strength = Math.min(1, Math.hypot(a, b) / 1.3);
  const dark = theme() === "dark";
  const [middle, outer] = dark ? [0.17, 0.3] : [0.93, 0.75];
  return hslToRgb(hue, (dark ? 0.34 : 0.55) * strength, middle + (outer - middle) * strength);
}

function hslToRgb(h, s, l) {
  const reach = s * Math.min(l, 1 - l);
  return [0, 8, 4].map((n) => {
    const k = (n + h * 12) % 12;
    return 255 * (l - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  });
}
