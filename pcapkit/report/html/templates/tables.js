"use strict";
// Sorts, filters and folds tables. Rows are kept in an array; only those that are shown stand in
// the page, so that neither sorting nor filtering lays out more than a few hundred of them.
const UNITS = { "µs": 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600 };
const amount = text => {
  const found = /^([+-]?[\d,.]+)(?:\s(µs|ms|s|min|h)\b)?/.exec(text);
  return found ? parseFloat(found[1].replaceAll(",", "")) * (UNITS[found[2]] ?? 1) : NaN;
};
const word = text => text.toLowerCase().replace(/\d+/g, digits => digits.length < 9 ? "00000000".slice(digits.length) + digits : digits);
const count = value => value.toLocaleString("en");
const button = (text, act) => {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
};
for (const table of document.querySelectorAll("table[data-first]")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows], first = Number(table.dataset.first), block = table.closest(".rows");
  const keys = new Map();
  let order = rows, kept = rows, shown = first, texts = null, words = [];
  const more = document.createElement("div");
  more.className = "more";
  const tools = block.querySelector(".tools"), said = block.querySelector("output");
  const show = () => {
    const until = kept.length <= shown + 3 ? kept.length : shown;
    const part = document.createDocumentFragment();
    for (let n = 0; n < until; n++) part.append(kept[n]);
    body.replaceChildren(part);
    const left = kept.length - until, next = Math.min(left, 100);
    more.replaceChildren();
    if (left) {
      more.append(`${count(left)} more`);
      more.append(button(`show ${next} more`, () => { shown = until + next; show(); }));
      if (left > next) more.append(button(`show all ${count(kept.length)}`, () => { shown = kept.length; show(); }));
    }
    if (said) said.textContent = words.length ? `${count(kept.length)} of ${count(rows.length)}` : "";
  };
  const filter = () => {
    texts ??= new Map(rows.map(row => [row, Array.from(row.childNodes, cell => cell.textContent).join("\n").toLowerCase()]));
    kept = words.length ? order.filter(row => words.every(part => texts.get(row).includes(part))) : order;
  };
  const keyOf = (column, numeric) => {
    if (!keys.has(column)) {
      const of = numeric ? amount : word;
      keys.set(column, rows.map(row => of(row.childNodes[column].textContent.trim())));
    }
    return keys.get(column);
  };
  const sort = (column, head) => {
    const numeric = head.classList.contains("number");
    const now = head.getAttribute("aria-sort") ?? (numeric ? "ascending" : "descending");
    const up = now === "descending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = keyOf(column, numeric), known = [], unknown = [];
    for (let n = 0; n < rows.length; n++) (key[n] === "" || key[n] !== key[n] ? unknown : known).push(n);
    known.sort(up ? (a, b) => key[a] < key[b] ? -1 : key[a] > key[b] ? 1 : a - b
      : (a, b) => key[a] > key[b] ? -1 : key[a] < key[b] ? 1 : a - b);
    order = known.concat(unknown).map(place => rows[place]);
    shown = Math.min(shown, 500);  // after "show all", too
    filter();
    show();
  };
  for (const [column, head] of heads.entries()) {
    if (!head.textContent || rows.length < 2) continue;
    head.replaceChildren(button(head.textContent, () => sort(column, head)));
    // texts take longest to prepare: that is done before somebody asks for it
    if (rows.length > 100 && !head.classList.contains("number")) globalThis.requestIdleCallback?.(() => keyOf(column, false));
  }
  if (tools) {
    tools.hidden = false;
    tools.querySelector("input").addEventListener("input", event => {
      words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      shown = first;
      filter();
      show();
    });
  }
  // on paper nothing can be unfolded
  let before = null;
  addEventListener("beforeprint", () => { before = shown; shown = kept.length; show(); });
  addEventListener("afterprint", () => { shown = before ?? shown; show(); });
  block.append(more);
  show();
}
