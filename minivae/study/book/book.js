// Points at an equation's number: the equation itself appears beside it. A click goes there.
"use strict";

(() => {
  const box = document.createElement("div");
  box.id = "equation-shown";
  box.hidden = true;

  function show(link) {
    const number = Number(link.hash.slice(2));
    const picture = (window.EQUATIONS || {})[number];
    if (!picture) return;
    box.innerHTML = picture;
    box.hidden = false;
    const at = link.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.left, innerWidth - box.offsetWidth - 8));
    box.style.left = `${left + scrollX}px`;
    box.style.top = `${at.bottom + 6 + scrollY}px`;
  }

  function hide() {
    box.hidden = true;
  }

  addEventListener("DOMContentLoaded", () => {
    document.body.append(box);
    for (const link of document.querySelectorAll("a.eq")) {
      for (const event of ["mouseenter", "focus"]) link.addEventListener(event, () => show(link));
      for (const event of ["mouseleave", "blur", "click"]) link.addEventListener(event, hide);
    }
    // A formula that is selected and copied is copied as LaTeX.
    document.addEventListener("copy", (event) => {
      const near = getSelection().anchorNode;
      const formula = (near instanceof Element ? near : near?.parentElement)?.closest("[data-latex]");
      if (!formula || !formula.contains(getSelection().focusNode)) return;
      event.clipboardData.setData("text/plain", formula.dataset.latex);
      event.preventDefault();
    });
  });
})();
