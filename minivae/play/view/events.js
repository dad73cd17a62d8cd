// Buttons, keys, the window's size, the theme and the link.
"use strict";

function setUp(app) {
  const on = (id, act) => document.getElementById(id).addEventListener("click", act);
  const keys = {
    t: () => app.toggle(),
    u: () => { app.toggle(false); app.update(); app.rd.measure(); app.everything(); },
    r: () => app.start(),
    n: () => app.choose((app.row ?? -1) + 1),
    p: () => app.choose((app.row ?? 1) - 1),
  };
  for (const [id, key] of Object.entries({ train: "t", step: "u", again: "r", next: "n", previous: "p" })) on(id, keys[key]);
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("select, input[type=text]") || event.ctrlKey || event.metaKey || event.altKey;
    if (!typing && keys[event.key.toLowerCase()]) keys[event.key.toLowerCase()]();
  });
  let drawn = 0;
  on("draw-eps", () => app.setEps([...normals(app.settings.seed, STREAM.GENERATE, ++drawn, [1], 2)]));
  on("zero-eps", () => app.setEps([0, 0]));
  on("clear", () => app.setDatum(new Float64Array(app.x.data.length)));
  on("link", () => copyLink(app));
  on("theme", () => setTheme(app, theme() === "dark" ? "light" : "dark"));
  let waiting;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => app.everything(), 80);
  }).observe(document.body);
  window.addEventListener("hashchange", () => app.follow(location.hash));
}

function setTheme(app, name) {
  wearTheme(name);
  app.legend();
  app.everything();
}

async function copyLink(app) {
  history.replaceState(null, "", toLink(app.settings));
  const button = document.getElementById("link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "copied";
  } catch {
    button.textContent = "the link is in the address bar";
  }
  setTimeout(() => (button.textContent = "copy link"), 2500);
}
