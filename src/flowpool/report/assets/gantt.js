// Attempts on the slots that they were in, a row a slot: zoomed and panned, told of under the pointer.
"use strict";

const SEGMENTS = ["connect", "first_byte"];

F.gantt = (run, open) => {
  const a = run.attempts, HEAD = 20, rows = [];
  let tops = [], height = 0, rowHeight = 10, from = 0, to = 1, first = 0, last = 1, drag = null, hover = -1;
  const byRow = new Map();
  const canvas = F.el("canvas", {tabindex: 0, role: "img", "aria-label": "Attempts on their slots over time. Arrow keys move, plus and minus zoom, 0 shows all."});
  const axis = F.el("canvas", {"aria-hidden": "true", style: {height: "22px"}});
  const frame = F.el("div", {class: "frame", style: {"max-height": "26rem", "overflow-y": "auto"}}, canvas);

  const lay = () => {
    byRow.clear(); rows.length = 0; tops = [];
    const most = new Map();
    for (let i = 0; i < a.item.length; i++) {
      if (a.started[i] > last || a.started[i] + a.ms[i] < first) continue;
      most.set(a.lane[i], Math.max(most.get(a.lane[i]) ?? 0, a.slot[i]));
      const key = a.lane[i] * 1e6 + a.slot[i];
      if (!byRow.has(key)) byRow.set(key, []);
      byRow.get(key).push(i);
    }
    const total = [...most.values()].reduce((sum, slot) => sum + slot + 1, 0);
    rowHeight = Math.max(4, Math.min(16, Math.floor(380 / Math.max(1, total))));
    height = 0;
    for (const lane of [...most.keys()].sort((x, y) => x - y)) {
      rows.push({lane, slot: -1}); tops.push(height); height += HEAD;
      for (let slot = 0; slot <= most.get(lane); slot++) {
        rows.push({lane, slot, attempts: byRow.get(lane * 1e6 + slot) || []}); tops.push(height); height += rowHeight;
      }
      height += 6;
    }
    canvas.style.height = Math.min(20000, Math.max(60, height)) + "px";
  };

  const colours = () => ({
    done: F.colour("done"), failed: F.colour("failed"), throttled: F.colour("throttled"), quiet: F.colour("quiet"), ink: F.colour("ink"),
    connect: F.colour("connect"), first_byte: F.colour("first_byte"), reading: F.colour("reading"), own_code: F.colour("own_code"), line: F.colour("line"),
  });
  // Answers fill their row, refusals the lower half, other failures the upper half: told apart without colours too.
  const draw = redrawn(canvas, (pen, width) => {
    const c = colours(), scale = width / (to - from);
    pen.font = "12px system-ui, sans-serif";
    rows.forEach((row, r) => {
      if (row.slot < 0) {
        pen.fillStyle = c.quiet;
        pen.fillText(a.lanes[row.lane], 8, tops[r] + 14);
        return;
      }
      let lastX = -9;
      for (const i of row.attempts) {
        const start = a.started[i], end = start + a.ms[i];
        if (end < from || start > to) continue;
        const x = (start - from) * scale, wide = Math.max(1, (end - start) * scale - 0.5), isBad = a.errorOf[i] !== "";
        if (wide <= 1 && x - lastX < 0.5 && !isBad) continue;
        lastX = x;
        bar(pen, c, i, x, wide, tops[r], scale, isBad);
      }
    });
  });
  const bar = (pen, c, i, x, wide, top, scale, isBad) => {
    const high = rowHeight - (rowHeight > 5 ? 1 : 0), half = Math.max(2, high / 2);
    if (isBad) {
      const refused = a.status[i] === 429;
      pen.fillStyle = refused ? c.throttled : c.failed;
      pen.fillRect(x, refused ? top + high - half : top, Math.max(2, wide), half);
    } else if (wide > 14 && (a.times.connect[i] || a.times.first_byte[i])) {
      let at = x;
      for (const kind of SEGMENTS) {
        const part = a.times[kind][i] * scale;
        pen.fillStyle = c[kind];
        pen.fillRect(at, top, part, high);
        at += part;
      }
      pen.fillStyle = c.reading;
      pen.fillRect(at, top, Math.max(0, x + wide - at), high);
    } else {
      pen.fillStyle = run.hasAttempts && !a.isModel[a.lane[i]] ? c.own_code : c.done;
      pen.fillRect(x, top, wide, high);
    }
    if (i === hover) { pen.strokeStyle = c.ink; pen.lineWidth = 1.5; pen.strokeRect(x - 1, top - 1, Math.max(3, wide) + 2, high + 2); }
  };
  const drawAxis = redrawn(axis, (pen, width) => {
    const c = colours(), marks = Math.max(2, Math.floor(width / 110)), rough = (to - from) / marks;
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5];
    const step = steps.find((one) => one >= rough) || rough;
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = c.quiet;
    pen.strokeStyle = c.line;
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const x = (at - from) / (to - from) * width, words = step >= 1000 ? F.time(run.began + at / 1000) : "+" + F.seconds(at);
      pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, 5); pen.stroke();
      pen.fillText(words, Math.min(Math.max(2, x - 20), width - 56), 17);
    }
  });
  const redraw = () => { draw(); drawAxis(); };

  const show = (begin, end) => {
    const length = Math.min(last - first, Math.max(5, end - begin));
    from = Math.min(Math.max(first, begin), last - length);
    to = from + length;
    redraw();
  };
  const zoom = (factor, at) => { const middle = at ?? (from + to) / 2; show(middle - (middle - from) * factor, middle + (to - middle) * factor); };
  const pan = (part) => show(from + part * (to - from), to + part * (to - from));
  const moment = (event) => from + event.offsetX / canvas.clientWidth * (to - from);
  const under = (event) => {
    const y = event.offsetY;
    for (let r = tops.length - 1; r >= 0; r--) {
      if (y < tops[r]) continue;
      const row = rows[r], at = moment(event), near = 3 * (to - from) / canvas.clientWidth;
      if (row.slot < 0 || y > tops[r] + rowHeight) return -1;
      return row.attempts.find((i) => at >= a.started[i] - near && at <= a.started[i] + a.ms[i] + near) ?? -1;
    }
    return -1;
  };
  canvas.addEventListener("pointerdown", (event) => { drag = {x: event.clientX, from, to, moved: false}; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      const by = (drag.x - event.clientX) / canvas.clientWidth * (drag.to - drag.from);
      if (Math.abs(drag.x - event.clientX) > 3) drag.moved = true;
      if (drag.moved) { F.noTip(); show(drag.from + by, drag.to + by); return; }
    }
    const i = under(event);
    if (i !== hover) { hover = i; draw(); }
    canvas.style.cursor = i >= 0 ? "pointer" : "";
    if (i >= 0) F.tip(F.attemptWords(run, i), event.clientX, event.clientY); else F.noTip();
  });
  canvas.addEventListener("pointerup", (event) => {
    const moved = drag && drag.moved;
    drag = null;
    const i = under(event);
    if (!moved && i >= 0) { F.noTip(); open(a.item[i]); }
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { hover = -1; F.noTip(); draw(); });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, moment(event));
  }, {passive: false});
  canvas.addEventListener("dblclick", (event) => { if (under(event) < 0) zoom(0.4, moment(event)); });
  canvas.addEventListener("keydown", (event) => {
    const act = {ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1.6), "0": () => show(first, last)}[event.key];
    if (act && !event.ctrlKey && !event.metaKey) { event.preventDefault(); act(); }
  });
  const tools = F.el("div", {class: "tools"},
    F.el("button", {onclick: () => zoom(0.5)}, "Zoom in"), F.el("button", {onclick: () => zoom(2)}, "Zoom out"),
    F.el("button", {onclick: () => show(first, last)}, "All"),
    F.el("span", {class: "quiet"}, "Drag to move, Ctrl and the wheel to zoom; a click opens the item."));
  return {
    element: F.el("div", {}, tools, frame, axis),
    setRange: (begin, end) => { first = begin; last = Math.max(begin + 5, end); lay(); show(first, last); },
    range: () => [from, to],
  };
};

const redrawn = (canvas, draw) => F.canvas(canvas, draw);

// An attempt in words, a line each.
F.attemptWords = (run, i) => {
  const a = run.attempts, lines = [`item ${a.item[i]}`, a.lanes[a.lane[i]]];
  lines.push(`${F.time(run.began + a.started[i] / 1000)}, took ${F.seconds(a.ms[i])}`);
  const status = a.status[i] ? ` (${a.status[i]})` : "";
  lines.push(a.errorOf[i] ? `failed: ${a.errorOf[i]}${status}` : "answered" + status);
  for (const [kind, words] of run.kinds) {
    if (a.times[kind] && a.times[kind][i]) lines.push(`${words}: ${F.seconds(a.times[kind][i])}`);
  }
  return lines;
};
