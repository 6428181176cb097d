"use strict";
// Words of the data come as JSON and are only ever set as text.
const data = JSON.parse(document.getElementById("data").textContent);
const svg = document.getElementById("graph");
const tip = document.getElementById("tip");
const views = [...svg.querySelectorAll(".view")];
const tabs = [...document.querySelectorAll("[data-view]")];
const frames = views.map((view) => view.dataset.box.split(" ").map(Number));
const boxes = views.map((view) => view.dataset.first.split(" ").map(Number));
const lookups = views.map(() => null);
let current = 0;
let held = null;

// Elements of a view by the node that they belong to, made when they are first needed.
function lookup() {
  if (lookups[current] === null) {
    const nodes = new Map();
    const edges = new Map();
    for (const element of views[current].querySelectorAll("[data-n]")) nodes.set(element.dataset.n, element);
    for (const element of views[current].querySelectorAll("[data-a]")) {
      for (const end of [element.dataset.a, element.dataset.b]) {
        if (!edges.has(end)) edges.set(end, []);
        edges.get(end).push(element);
      }
    }
    lookups[current] = { nodes, edges };
  }
  return lookups[current];
}

function draw() {
  svg.setAttribute("viewBox", boxes[current].join(" "));
}

function show(number) {
  leave();
  current = number;
  views.forEach((view, each) => view.classList.toggle("on", each === number));
  tabs.forEach((tab, each) => tab.setAttribute("aria-pressed", String(each === number)));
  draw();
  find();
}

function zoom(factor, x, y) {
  const box = boxes[current];
  const width = Math.min(Math.max(box[2] * factor, frames[current][2] / 60), frames[current][2] * 4);
  const by = width / box[2];
  box[0] = x - (x - box[0]) * by;
  box[1] = y - (y - box[1]) * by;
  box[2] *= by;
  box[3] *= by;
  draw();
}

function inGraph(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [point.x, point.y];
}

function row(list, name, text) {
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  term.textContent = name;
  value.textContent = text;
  list.append(term, value);
}

function enter(node) {
  leave();
  const { nodes, edges } = lookup();
  const touching = edges.get(node) || [];
  const near = [nodes.get(node), ...touching];
  for (const edge of touching) near.push(nodes.get(edge.dataset.a), nodes.get(edge.dataset.b));
  for (const element of near) if (element) element.classList.add("near");
  svg.classList.add("hovering");
}

function leave() {
  svg.classList.remove("hovering");
  for (const element of svg.querySelectorAll(".near")) element.classList.remove("near");
  tip.hidden = true;
}

function tell(node, x, y) {
  const [name, value, cells] = data.nodes[node];
  const title = document.createElement("strong");
  const list = document.createElement("dl");
  title.textContent = name;
  row(list, data.adds, value);
  for (const [column, cell] of cells) row(list, column, cell);
  tip.replaceChildren(title, list);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 16, innerWidth - width - 8))}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 16, innerHeight - height - 8))}px`;
}

function find() {
  const words = document.getElementById("find").value.trim().toLowerCase();
  let count = 0;
  for (const [node, element] of lookup().nodes) {
    const [name, , cells] = data.nodes[node];
    const found = words !== "" && [name, ...cells.map((cell) => cell[1])].some((text) => text.toLowerCase().includes(words));
    element.classList.toggle("found", found);
    count += found;
  }
  document.getElementById("count").textContent = words === "" ? "" : `${count} found`;
}

svg.addEventListener("pointerover", (event) => {
  const element = event.target.closest("[data-n]");
  if (!element || held) return;
  enter(element.dataset.n);
  tell(element.dataset.n, event.clientX, event.clientY);
});
svg.addEventListener("pointerout", (event) => {
  if (event.target.closest("[data-n]") && !held) leave();
});
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(Math.sign(event.deltaY) * 0.18), ...inGraph(event));
}, { passive: false });
svg.addEventListener("pointerdown", (event) => {
  held = inGraph(event);
  svg.setPointerCapture(event.pointerId);
  svg.classList.add("held");
});
svg.addEventListener("pointermove", (event) => {
  if (!held) return;
  const [x, y] = inGraph(event);
  boxes[current][0] += held[0] - x;
  boxes[current][1] += held[1] - y;
  draw();
});
for (const name of ["pointerup", "pointercancel"]) {
  svg.addEventListener(name, () => {
    held = null;
    svg.classList.remove("held");
  });
}
for (const item of document.querySelectorAll("li[data-n]")) {
  const over = () => {
    const place = item.getBoundingClientRect();
    enter(item.dataset.n);
    tell(item.dataset.n, place.left - 356, place.top);
  };
  item.addEventListener("pointerenter", over);
  item.addEventListener("focus", over);
  item.addEventListener("pointerleave", leave);
  item.addEventListener("blur", leave);
}
tabs.forEach((tab, number) => tab.addEventListener("click", () => show(number)));
document.getElementById("find").addEventListener("input", find);
for (const [name, factor] of [["closer", 0.75], ["farther", 1 / 0.75]]) {
  document.getElementById(name).addEventListener("click", () => {
    const [x, y, width, height] = boxes[current];
    zoom(factor, x + width / 2, y + height / 2);
  });
}
document.getElementById("all").addEventListener("click", () => {
  boxes[current] = [...frames[current]];
  draw();
});
// A link may say what to show at once, as explain.html#view=1&node=12.
function follow() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const view = Number(asked.get("view") || 0);
  show(views[view] ? view : 0);
  const element = lookup().nodes.get(asked.get("node"));
  if (element) {
    const place = element.getBoundingClientRect();
    enter(element.dataset.n);
    tell(element.dataset.n, place.right, place.bottom);
  }
}

addEventListener("hashchange", follow);
follow();
document.documentElement.dataset.ready = "yes";
