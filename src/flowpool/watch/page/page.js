// The live page: asks how the run stands once a second and says it. Text of others gets into the page by
// textContent alone.
"use strict";

const token = location.pathname.split("/")[1];
const find = (id) => document.getElementById(id);
const KINDS = ["slot_wait", "limit_wait", "budget_wait", "backoff", "connect", "first_byte", "reading", "own_code"];
const SIGNS = { running: "●", paused: "❚❚", ended: "✓", away: "■" };
const STATES = { running: "running", paused: "paused", ended: "ended", away: "not at work" };
// Milliseconds between two looks: at a run that goes on, and at one that is over or a page that nobody sees.
const OFTEN = 1000, SELDOM = 5000;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

let last = null; // what was shown last
let course = { at: [], rate: [], limit: [], refused: [], in_flight: [], window: [], queued: [] };
let charts = [];
const drawn = new Map(); // what each part was made of

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function made(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Makes a part of the page anew where what it is made of has changed. */
function part(id, data, make) {
  const key = JSON.stringify(data);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  find(id).replaceChildren(...make(data));
}

function row(tag, cells) {
  const line = made("tr");
  line.append(...cells.map(([text, className]) => made(tag, className, text)));
  return line;
}

function sayHead(now) {
  document.title = `${now.counts} · ${now.name}`;
  say(find("name"), now.name);
  say(find("state"), STATES[now.state]);
  find("state").className = `state ${now.state}`;
  say(find("clock"), `as of ${now.clock}`);
  say(find("sign"), now.is_bad ? "▲" : SIGNS[now.state]);
  say(find("words"), now.verdict);
  say(find("since"), now.since);
  say(find("fix"), now.fix);
  find("fix").hidden = !now.fix;
  find("verdict").className = `verdict${now.is_bad ? " bad" : now.state === "ended" ? " good" : ""}`;
}

function sayProgress(now) {
  const known = now.done !== null;
  find("bar").hidden = !known;
  if (known) {
    find("bar-done").style.width = `${100 * now.done}%`;
    find("bar-failed").style.width = `${now.failed ? Math.max(0.4, 100 * now.failed) : 0}%`;
    find("bar").setAttribute("aria-valuenow", (100 * (now.done + now.failed)).toFixed(1));
  }
  const share = known ? ` · ${(100 * (now.done + now.failed)).toFixed(1)} %` : "";
  say(find("counts"), now.counts + share);
  part("figures", now.figures, (figures) => figures.map((figure) => {
    const box = made("div"), words = made("dd", "", figure.words);
    if (figure.note) words.append(made("small", "", figure.note));
    box.append(made("dt", "", figure.name), words);
    return box;
  }));
}

function sayLanes(now) {
  find("lanes-part").hidden = !now.lanes.length;
  part("lanes", now.lanes, (lanes) => [
    row("th", [["lane"], ["in flight", "number"], ["waiting", "number"], ["a minute", "number"], ["answers take", "number"],
      ["refused", "number"], ["held back by"]]),
    ...lanes.map((lane) => row("td", [[lane.name], [lane.in_flight, "number"], [lane.queued, "number"], [lane.limit, "number"],
      [lane.latency, "number"], [lane.throttled, "number"],
      [(lane.is_ill ? "▲ " : "") + lane.bound, lane.is_ill ? "bad" : ""]])),
  ]);
}

function sayTimes(now) {
  find("times-part").hidden = !now.times.length;
  part("times", now.times, (times) => {
    const found = [];
    for (const lane of new Set(times.map((time) => time.lane))) {
      const own = times.filter((time) => time.lane === lane), stack = made("div", "stack"), table = made("table");
      stack.setAttribute("aria-hidden", "true");
      table.append(row("th", [[lane], ["of all", "number"], ["in sum", "number"], ["p50", "number"], ["p95", "number"],
        ["p99", "number"]]));
      for (const time of own) {
        const color = `k${KINDS.indexOf(time.kind)}`, piece = made("span", color), line = made("tr"), name = made("td");
        piece.style.width = `${100 * time.share}%`;
        stack.append(piece);
        name.append(made("span", `key ${color}`), document.createTextNode(time.name));
        line.append(name, ...[`${(100 * time.share).toFixed(0)} %`, time.total, time.p50, time.p95, time.p99].map(
          (text) => made("td", "number", text)));
        table.append(line);
      }
      const wide = made("div", "wide");
      wide.append(table);
      found.push(stack, wide);
    }
    return found;
  });
}

function sayLists(now) {
  for (const name of ["groups", "failures", "verdicts", "changes"]) {
    find(`${name}-part`).hidden = !now[name].length;
    part(name, now[name], (all) => all.map((one) => {
      const line = made("li");
      if (one.when) line.append(made("span", "when", one.when));
      line.append(document.createTextNode(one.words));
      if (one.fix) line.append(made("span", "fix", one.fix));
      return line;
    }));
  }
}

// The grid of items.

const CELL = 11, GAP = 2;
let columns = 1, chosen = -1;

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function cells(grid) {
  return Math.ceil(grid.items / grid.size);
}

function inCell(grid, cell) {
  const first = cell * grid.size, items = Math.min(grid.size, grid.items - first);
  return { first, items, done: grid.done[cell] || 0, failed: grid.failed[cell] || 0 };
}

function sayGrid(now) {
  const grid = now.grid, canvas = find("grid");
  find("grid-part").hidden = !grid;
  if (!grid) return;
  const width = canvas.parentElement.clientWidth, key = JSON.stringify([grid, width, dark.matches, chosen]);
  if (!width || drawn.get("grid") === key) return;
  drawn.set("grid", key);
  say(find("grid-size"), grid.size === 1 ? "A cell is an item." : `A cell is ${grid.size.toLocaleString("en")} items in order.`);
  columns = Math.max(1, Math.floor((width + GAP) / (CELL + GAP)));
  const number = cells(grid), height = Math.ceil(number / columns) * (CELL + GAP), ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d"), done = color("done"), failed = color("failed"), todo = color("todo"), back = color("back");
  pen.scale(ratio, ratio);
  for (let cell = 0; cell < number; cell++) {
    const x = (cell % columns) * (CELL + GAP), y = Math.floor(cell / columns) * (CELL + GAP), of = inCell(grid, cell);
    pen.fillStyle = todo;
    pen.fillRect(x, y, CELL, CELL);
    const filled = CELL * (of.done + of.failed) / of.items, bad = of.failed ? Math.max(3, CELL * of.failed / of.items) : 0;
    pen.fillStyle = done;
    pen.fillRect(x, y + CELL - filled, CELL, filled);
    if (bad) {
      pen.fillStyle = failed;
      pen.fillRect(x, y + CELL - bad, CELL, bad);
      pen.strokeStyle = back;
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.moveTo(x, y + CELL);
      pen.lineTo(x + bad, y + CELL - bad);
      pen.stroke();
    }
    if (cell === chosen) {
      pen.strokeStyle = color("ink");
      pen.lineWidth = 2;
      pen.strokeRect(x, y, CELL, CELL);
    }
  }
  const sum = (list) => list.reduce((all, one) => all + one, 0);
  canvas.setAttribute("aria-label", `${grid.items} items: ${sum(grid.done)} done, ${sum(grid.failed)} failed. Arrow keys go through them.`);
}

function choose(cell) {
  const grid = last && last.grid;
  if (!grid) return;
  chosen = Math.max(0, Math.min(cells(grid) - 1, cell));
  const of = inCell(grid, chosen), end = of.first + of.items - 1;
  const which = of.items === 1 ? `items[${of.first}]` : `items[${of.first}] to [${end}]`;
  const words = [of.done && `${of.done} done`, of.failed && `${of.failed} failed`,
    of.items > of.done + of.failed && `${of.items - of.done - of.failed} to do`].filter(Boolean);
  say(find("cell"), `${which}: ${words.join(", ")}`);
  sayGrid(last);
}

find("grid").addEventListener("pointermove", (event) => {
  const x = Math.floor(event.offsetX / (CELL + GAP)), y = Math.floor(event.offsetY / (CELL + GAP));
  if (x < columns) choose(y * columns + x);
});
find("grid").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (!step) return;
  event.preventDefault();
  choose(chosen < 0 ? 0 : chosen + step);
});

// The series.

const LINES = {
  rate: [["items/s", "rate", "rate"], ["limit", "limit", "limit", [6, 4]], ["refused/s", "refused", "refused"]],
  flight: [["in flight", "in_flight", "rate"], ["window", "window", "limit", [6, 4]]],
  queue: [["waiting", "queued", "queued"]],
};

/** From 0 to what the first line needs, and to the others where that leaves the first to be seen. */
function span(plot, low, high) {
  const most = (line) => Math.max(0, ...(plot.data[line] || []).filter((one) => one !== null));
  const own = most(1);
  let top = own;
  for (let line = 2; line < plot.data.length; line++) top = Math.max(top, Math.min(most(line), 2.5 * own));
  return [0, Math.max(1, 1.1 * top)];
}

function figures(value) {
  return value === null || value === undefined ? "-" : value >= 100 ? Math.round(value).toLocaleString("en") : `${+value.toFixed(1)}`;
}

function chart(id) {
  const home = find(id), ink = color("quiet"), line = color("line");
  const axis = { stroke: ink, grid: { stroke: line, width: 0.5 }, ticks: { stroke: line, width: 0.5 }, font: "11px system-ui" };
  return new uPlot({
    width: home.clientWidth || 300,
    height: 190,
    cursor: { y: false },
    legend: { live: true },
    scales: { y: { range: span } },
    axes: [
      { ...axis, values: [[3600 * 24, "{MMM} {D}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
        [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] },
      { ...axis, size: 44, values: (_, ticks) => ticks.map(figures) },
    ],
    series: [{ label: "at", value: "{HH}:{mm}:{ss}" }, ...LINES[id].map(([label, , name, dash]) => ({
      label, stroke: color(name), width: 1.6, dash, points: { show: false }, value: (_, value) => figures(value), spanGaps: false,
    }))],
  }, lines(id), home);
}

function lines(id) {
  return [course.at, ...LINES[id].map(([, name]) => course[name])];
}

function makeCharts() {
  for (const { plot } of charts) plot.destroy();
  charts = Object.keys(LINES).map((id) => ({ id, plot: chart(id) }));
}

function drawCharts(fresh) {
  if (!charts.length) makeCharts();
  else if (fresh) for (const { id, plot } of charts) plot.setData(lines(id));
}

const MOST = 3000;

function takeCourse(series) {
  if (!series.at.length) return false;
  for (const name of Object.keys(course)) {
    course[name].push(...series[name]);
    if (course[name].length > MOST) course[name] = course[name].filter((_, place) => place % 2 === 1);
  }
  return true;
}

new ResizeObserver(() => {
  for (const { id, plot } of charts) {
    const width = find(id).clientWidth;
    if (width && width !== plot.width) plot.setSize({ width, height: 190 });
  }
  if (last) sayGrid(last);
}).observe(document.body);
dark.addEventListener("change", () => { makeCharts(); if (last) sayGrid(last); });

// Steering.

async function order(what, values = {}) {
  const said = find("said");
  say(said, "…");
  try {
    const answer = await fetch("order", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Flowpool-Token": token },
      body: JSON.stringify({ what, ...values }),
    });
    const words = await answer.json();
    say(said, words.said || words.error);
  } catch {
    say(said, "Not done: the run's process doesn't answer.");
  }
  look();
}

function saySteering(now) {
  find("steering").hidden = !now.steers;
  say(find("pause"), now.state === "paused" ? "Go on" : "Pause");
  for (const name of ["max_flows", "max_cost"]) {
    const value = now.settings[name], field = find(name);
    field.placeholder = value === null || value === undefined ? (name === "max_flows" ? "auto" : "none") : `${value}`;
  }
}

find("pause").addEventListener("click", () => order(last.state === "paused" ? "go" : "pause"));
find("stop").addEventListener("click", () => find("sure").showModal());
find("sure-not").addEventListener("click", () => find("sure").close());
find("sure-stop").addEventListener("click", () => { find("sure").close(); order("stop"); });
for (const name of ["max_flows", "max_cost"]) {
  const send = () => {
    const value = Number(find(name).value);
    if (!find(name).value || !(value > 0) || (name === "max_flows" && !Number.isInteger(value))) {
      say(find("said"), name === "max_flows" ? "max_flows: a whole number from 1 on." : "max_cost: dollars above 0.");
      return;
    }
    find(name).value = "";
    order("set", { [name]: value });
  };
  find(`set_${name}`).addEventListener("click", send);
  find(name).addEventListener("keydown", (event) => { if (event.key === "Enter") send(); });
}

// Looking.

let timer = 0, asking = false, run = null;

/** How the run stands, or null where nobody says it. */
async function ask() {
  const known = course.at.length ? course.at[course.at.length - 1] : 0;
  const as = last ? ` What stands here is as of ${last.clock}.` : "";
  let now = null, words = `Nobody answers: the program that served this page has ended, or was killed.${as}`;
  try {
    const answer = await fetch(`view?after=${known + 5e-4}`);
    now = await answer.json();
    if (answer.ok) return now;
    words = now.error + as;
  } catch {
    // It said nothing, or was cut off.
  }
  find("lost").hidden = false;
  say(find("lost"), words);
  find("steering").hidden = true;
  return null;
}

async function look() {
  clearTimeout(timer);
  if (asking) return;
  asking = true;
  const now = await ask();
  asking = false;
  if (now && run !== null && run !== now.run) return location.reload(); // another run of the store is at work
  const goes = now && (now.state === "running" || now.state === "paused");
  timer = setTimeout(look, goes && !document.hidden ? OFTEN : SELDOM);
  if (!now) return;
  run = now.run;
  last = now;
  find("lost").hidden = true;
  show(now);
}

function show(now) {
  const fresh = takeCourse(now.series);
  if (document.hidden) return;
  sayHead(now);
  sayProgress(now);
  saySteering(now);
  sayLanes(now);
  sayTimes(now);
  sayLists(now);
  sayGrid(now);
  drawCharts(fresh);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "p" && last && last.steers) find("pause").click();
});
look();
