"use strict";
// Sorting: a cell's row and the row of its runs are one <tbody>, and move together.
const main = document.getElementById("main");
const headings = [...main.tHead.rows[0].cells];
// The first number of a text, of a power of 2 the exponent; a diverged row is the worst.
const number = (text) => {
  const found = text.replaceAll(",", "").replace(/^2\^/, "").match(/[-+]?\d+(\.\d+)?/);
  return text.startsWith("diverged") ? Infinity : found ? Number(found[0]) : null;
};
headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
  const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  headings.forEach((other) => other.setAttribute("aria-sort", "none"));
  heading.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
  const words = heading.classList.contains("left");
  const rows = [...main.tBodies].map((body) => {
    const text = body.rows[0].cells[column].textContent.trim();
    return { body, key: words ? text : number(text) };
  });
  const none = (row) => row.key === null; // without a number: last, whichever way
  const order = (a, b) => a < b ? -1 : Number(a > b);
  rows.sort((a, b) => none(a) - none(b) || sign * (words ? a.key.localeCompare(b.key) : order(a.key, b.key)));
  main.append(...rows.map((row) => row.body));
}));

// A row opens to its runs.
main.addEventListener("click", (event) => {
  const row = event.target.closest("tr.cell");
  if (!row || String(getSelection()) !== "") return;
  const runs = row.nextElementSibling;
  runs.hidden = !runs.hidden;
  row.querySelector(".open").setAttribute("aria-expanded", String(!runs.hidden));
});

// The nearest mark's words, for a mouse and for a finger.
const tip = document.getElementById("tip");
const hide = () => { tip.hidden = true; };
const near = (svg, x, y) => {
  let found = null, least = 24 * 24;
  for (const mark of svg.querySelectorAll("[data-tip]")) {
    const box = mark.getBoundingClientRect();
    const distance = (box.x + box.width / 2 - x) ** 2 + (box.y + box.height / 2 - y) ** 2;
    if (distance < least) [found, least] = [mark, distance];
  }
  return found;
};
for (const svg of document.querySelectorAll("figure svg")) {
  const show = (event) => {
    const mark = near(svg, event.clientX, event.clientY);
    if (!mark) return hide();
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const above = event.clientY - tip.offsetHeight - 12;
    tip.style.left = Math.max(8, left) + "px";
    tip.style.top = (above > 4 ? above : event.clientY + 18) + "px";
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
  svg.addEventListener("pointerleave", hide);
}
addEventListener("scroll", hide, { passive: true });
