// Things to try: each sets the page up, trains, and says what to watch for.
"use strict";

const TOURS = [
  ["A map of digits", "#data=digits",
    "The means spread over the prior's rings, label by label, and the pictures behind them become digits."],
  ["Without the KL", "#data=ring&model=no-kl",
    "The ellipses shrink to points and the means leave the rings: an autoencoder after all. The crosses, made from the prior, miss the data."],
  ["With it", "#data=ring",
    "Neighbouring posteriors overlap, the means keep to the rings, and most crosses land on the data."],
  ["Too much of it", "#data=digits&beta=20",
    "Every ellipse swells onto the first ring and tells nothing of its datum: posterior collapse. The KL falls to 0, and all pictures become one. Now turn β down."],
  ["Trust the data", "#data=digits&c=0.001",
    "A small c makes every error dear: tiny posteriors, a large KL. Turn c up and see the ellipses grow."],
  ["A bug no gradient check sees", "#data=digits&bug=sigma-variance",
    "Press “Check my gradient” below: every tensor is right. Then read “Is z's spread the σ the KL pays for?” beside it."],
  ["A path that is missing", "#data=digits&bug=one-path",
    "The means fly apart although the loss counts the KL. Look at the arrows into μ, then check the gradient."],
];

function setUpTours(app) {
  const watch = document.getElementById("watch");
  const buttons = TOURS.map(([name, link, words]) => {
    const button = document.createElement("button");
    [button.type, button.textContent] = ["button", name];
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      watch.textContent = words;
      app.follow(link);
      app.toggle(true);
    });
    return button;
  });
  document.getElementById("tours").append(...buttons);
}
