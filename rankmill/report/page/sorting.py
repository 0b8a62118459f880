"""The one script of a page: a click on a heading sorts its table. Without it nothing is missing."""

SCRIPT = """\
"use strict";
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
"""
