// A cell an item: what became of each, at a glance. Arrow keys move in it, Enter opens the item.
"use strict";

const STATES = {0: "not started", 1: "in progress", 2: "done", 3: "failed", 4: "cancelled"};

F.grid = (run, open) => {
  const items = run.items, count = items.count;
  const cell = count > 30000 ? 5 : count > 4000 ? 7 : count > 800 ? 11 : 16;
  let cursor = -1, hover = -1;
  const canvas = F.el("canvas", {tabindex: 0, role: "application", "aria-label": `${F.many(count, "item")}, a cell each: arrow keys move, Enter opens, F goes to the next that failed.`});
  const spacer = F.el("div", {}), frame = F.el("div", {class: "frame"}, canvas, spacer);
  const words = F.el("p", {class: "quiet", "aria-live": "polite"}, " ");
  const across = () => Math.max(1, Math.floor((canvas.clientWidth - 4) / cell));
  const tall = () => Math.ceil(count / across()) * cell + 4;

  const fit = () => {
    const total = tall(), shown = Math.min(total, 320);
    canvas.style.height = shown + "px";
    spacer.style.height = total - shown + "px";
  };
  const draw = F.canvas(canvas, (pen, width, height) => {
    const c = {2: F.colour("done"), 3: F.colour("failed"), 0: F.colour("pending"), 1: F.colour("throttled"), 4: F.colour("cancelled"), e: F.colour("earlier")};
    const ink = F.colour("ink"), row = across(), paper = F.colour("paper"), size = cell - 1;
    const begin = Math.floor(frame.scrollTop / cell), end = Math.ceil((frame.scrollTop + height) / cell);
    for (let i = begin * row; i < Math.min(count, (end + 1) * row); i++) {
      const x = 2 + (i % row) * cell, y = 2 + Math.floor(i / row) * cell - frame.scrollTop, state = items.status[i];
      pen.fillStyle = pen.strokeStyle = state === "2" && items.earlier[i] ? c.e : c[state];
      if (state === "0") { pen.lineWidth = 1; pen.strokeRect(x + 1, y + 1, size - 2, size - 2); }
      else if (state === "2") { const gap = cell > 8 ? 1 : 0.5; pen.fillRect(x + gap, y + gap, size - 2 * gap, size - 2 * gap); }
      else pen.fillRect(x, y, size, size);
      if (state === "3" && cell >= 7) {
        pen.strokeStyle = paper; pen.lineWidth = cell > 10 ? 1.6 : 1;
        pen.beginPath(); pen.moveTo(x + 2, y + 2); pen.lineTo(x + size - 2, y + size - 2); pen.moveTo(x + size - 2, y + 2); pen.lineTo(x + 2, y + size - 2); pen.stroke();
      } else if (state === "4" && cell >= 7) { pen.fillStyle = paper; pen.fillRect(x + size / 2, y + 1, size / 2 - 1, size - 2); }
      if (i === cursor && document.activeElement === canvas || i === hover) { pen.strokeStyle = ink; pen.lineWidth = 2; pen.strokeRect(x - 1, y - 1, size + 2, size + 2); }
    }
  });
  const tell = (i) => { words.textContent = i < 0 ? " " : F.itemWords(run, i); };
  const move = (to) => {
    cursor = Math.max(0, Math.min(count - 1, to));
    const y = Math.floor(cursor / across()) * cell;
    if (y < frame.scrollTop) frame.scrollTop = y;
    else if (y + cell + 4 > frame.scrollTop + canvas.clientHeight) frame.scrollTop = y + cell + 4 - canvas.clientHeight;
    tell(cursor);
    draw();
  };
  const nextFailed = () => {
    for (let k = 1; k <= count; k++) if (items.status[(cursor + k + count) % count] === "3") { move((cursor + k + count) % count); return true; }
    return false;
  };
  const under = (event) => {
    const column = Math.floor((event.offsetX - 2) / cell), i = Math.floor((event.offsetY - 2 + frame.scrollTop) / cell) * across() + column;
    return column < 0 || column >= across() || i < 0 || i >= count ? -1 : i;
  };
  frame.addEventListener("scroll", draw);
  new ResizeObserver(() => { fit(); draw(); }).observe(frame);
  canvas.addEventListener("pointermove", (event) => {
    const i = under(event);
    if (i !== hover) { hover = i; draw(); }
    if (i >= 0) F.tip([F.itemWords(run, i)], event.clientX, event.clientY); else F.noTip();
  });
  canvas.addEventListener("pointerleave", () => { hover = -1; F.noTip(); draw(); });
  canvas.addEventListener("click", (event) => { const i = under(event); if (i >= 0) { cursor = i; F.noTip(); open(i); } });
  canvas.addEventListener("focus", () => { if (cursor < 0 && count) move(0); else draw(); });
  canvas.addEventListener("blur", draw);
  canvas.addEventListener("keydown", (event) => {
    const row = across(), page = row * Math.max(1, Math.floor(canvas.clientHeight / cell) - 1);
    const to = {ArrowLeft: cursor - 1, ArrowRight: cursor + 1, ArrowUp: cursor - row, ArrowDown: cursor + row, Home: 0, End: count - 1, PageUp: cursor - page, PageDown: cursor + page}[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (to !== undefined) { event.preventDefault(); move(to); }
    else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); if (cursor >= 0) open(cursor); }
    else if (event.key === "f" || event.key === "F") nextFailed();
  });
  const counted = new Map();
  for (let i = 0; i < count; i++) { const key = items.status[i] === "2" && items.earlier[i] ? "e" : items.status[i]; counted.set(key, (counted.get(key) || 0) + 1); }
  const names = {2: ["done", "done", ""], e: ["done in an earlier session", "earlier", ""], 3: ["failed", "failed", ""], 4: ["cancelled", "cancelled", ""], 1: ["in progress", "throttled", ""], 0: ["not started", "pending", "hollow"]};
  const key = F.el("div", {class: "key"}, ["2", "e", "3", "4", "1", "0"].filter((state) => counted.get(state)).map((state) => F.el("span", {},
    F.el("i", {class: "swatch " + names[state][2], style: {background: `var(--${names[state][1]})`, "border-color": `var(--${names[state][1]})`}}),
    `${F.count(counted.get(state))} ${names[state][0]}`)));
  const tools = counted.get("3") ? F.el("div", {class: "tools"}, F.el("button", {onclick: () => { canvas.focus(); nextFailed(); }}, "Next that failed")) : null;
  return F.el("div", {}, key, tools, frame, words);
};

F.itemWords = (run, i) => {
  const items = run.items, state = STATES[items.status[i]], group = items.group[i];
  const what = group ? `${state}, ${run.errors[group - 1] ? run.errors[group - 1].error : "an error"}` : state;
  const took = items.ms[i] ? `, ${F.seconds(items.ms[i])}` : "", tries = items.attempts[i] > 1 ? `, ${items.attempts[i]} attempts` : "";
  return `item ${i}: ${what}${took}${tries}`;
};
