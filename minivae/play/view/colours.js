// The map that gives every place of data space a colour of its own.
"use strict";

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
