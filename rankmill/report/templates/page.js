"use strict";
// A click on a heading sorts its table; what is wider than the screen says that it scrolls; a
// button opens everything that is folded. Without this script the page says the same.
function keyOf(row, place) {
  const cell = row.cells[place];
  if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
  return cell.textContent.trim();
}
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row, i) => ({ row, i, key: keyOf(row, place) }));
      const unknown = (r) => r.key === "" || r.key === "–" || Number.isNaN(r.key);
      rows.sort((a, b) => {
        if (unknown(a) || unknown(b)) return unknown(a) - unknown(b) || a.i - b.i;
        return (up ? 1 : -1) * compare(a.key, b.key) || a.i - b.i;
      });
      body.append(...rows.map((r) => r.row));
    });
  });
}
const wides = [...document.querySelectorAll(".wide")];
function cue() {
  for (const wide of wides) {
    wide.parentElement.classList.toggle("scrolls", wide.scrollWidth > wide.clientWidth + 1);
  }
}
addEventListener("resize", cue);
const folds = [...document.querySelectorAll("details")];
for (const fold of folds) fold.addEventListener("toggle", cue);
cue();
const nav = document.querySelector("nav");
if (nav && folds.length) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Unfold all";
  button.addEventListener("click", () => {
    const open = folds.some((fold) => !fold.open);
    for (const fold of folds) fold.open = open;
    button.textContent = open ? "Fold all" : "Unfold all";
  });
  nav.append(button);
}
