"use strict";
const byId = (id) => document.getElementById(id);
const selects = [...document.querySelectorAll("select[id]")];

function filterItems(items, kind, name) {
  for (const item of items) {
    const { kind: itsKind, label, true: itsTrue } = item.dataset;
    item.hidden = (kind && kind !== itsKind) || (name && name !== label && name !== itsTrue);
  }
  return items.filter((item) => !item.hidden).length;
}

function filterPictures(id) {
  const grid = byId(`${id}-pictures`);
  if (!grid) return;
  const kind = byId(`${id}-kind`).value, name = byId(`${id}-class`).value;
  const shown = filterItems([...grid.children], kind, name);
  const lines = byId(`${id}-lines`);
  const total = lines ? filterItems([...lines.children], kind, name) : grid.children.length;
  byId(`${id}-count`).textContent =
    shown === total ? `${shown} pictures` : `${shown} of ${total} pictures`;
}

function showCurve() {
  const name = byId("curve-class").value;
  let text = "";
  for (const curve of document.querySelectorAll("#curves g[data-class]")) {
    const isOn = curve.dataset.class === name;
    curve.classList.toggle("on", isOn);
    if (isOn) {
      text = curve.dataset.text;
      curve.parentNode.append(curve);
    }
  }
  byId("curves").classList.toggle("one", name !== "");
  byId("curve-text").textContent = text;
}

function show() {
  filterPictures("mistakes");
  filterPictures("suspects");
  showCurve();
}

function readHash() {
  if (!location.hash.includes("=")) return;
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const select of selects) {
    const value = wanted.get(select.id) ?? "";
    select.value = [...select.options].some((option) => option.value === value) ? value : "";
  }
  show();
  byId([...wanted.keys()][0]?.split("-")[0])?.scrollIntoView();
}

function sortTable(table, column, button) {
  const head = button.parentNode, body = table.tBodies[0];
  const descending = head.ariaSort !== "descending";
  const text = (row) => row.cells[column].textContent.trim();
  const number = (row) => parseFloat(text(row).replaceAll(",", ""));
  const sign = descending ? -1 : 1;
  const order = (a, b) =>
    column === 0 ? -sign * text(a).localeCompare(text(b), undefined, { numeric: true }) : sign * ((number(a) || -1) - (number(b) || -1));
  body.append(...[...body.rows].sort(order));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.ariaSort = descending ? "descending" : "ascending";
}

for (const select of selects) {
  select.addEventListener("change", () => {
    show();
    const chosen = selects.filter((each) => each.value).map((each) => [each.id, each.value]);
    history.replaceState(null, "", `#${new URLSearchParams(chosen)}`);
  });
}
for (const button of document.querySelectorAll("th button")) {
  const table = button.closest("table");
  button.addEventListener("click", () => sortTable(table, button.parentNode.cellIndex, button));
}
for (const event of ["pointerover", "click"]) {
  byId("matrix").addEventListener(event, ({ target }) => {
    const cell = target.closest("[data-text]");
    byId("matrix-text").textContent = cell ? cell.dataset.text : "\u00a0";
  });
}
addEventListener("hashchange", readHash);
show();
readHash();
