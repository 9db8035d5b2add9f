// Series over time, drawn by uPlot: of the run's samples, or where there are none, counted from its attempts.
"use strict";


// What of the run lies between two moments (milliseconds since its begin), for one of its lanes.
F.series = (run, lane, from, to) => {
  const samples = run.samples, inside = [];
  samples.at.forEach((at, i) => { if (at >= from - 1500 && at <= to + 1500) inside.push(i); });
  const own = samples.lanes.find((one) => one.name === lane);
  if (inside.length < 10 || !own) return F.countedSeries(run, lane, from, to);
  const pick = (column) => inside.map((i) => column[i]);
  const change = (column) => inside.map((i, k) => {
    const before = k ? column[inside[k - 1]] : column[i];
    return column[i] === null || before === null ? null : Math.max(0, column[i] - before);
  });
  const done = pick(samples.done), failed = pick(samples.failed), at = pick(samples.at);
  const each = (column) => at.map((ms, k) => k ? Math.max(0, column[k] - column[k - 1]) * 1000 / Math.max(1, ms - at[k - 1]) : null);
  const unit = {tokens: "tokens", input_tokens: "input tokens", output_tokens: "output tokens"};
  const bounds = new Map();
  inside.forEach((i) => { const word = unit[own.bound[i]] || "requests"; bounds.set(word, (bounds.get(word) || 0) + 1); });
  const mostly = [...bounds].sort((a, b) => b[1] - a[1])[0][0];
  return {
    at, unit: bounds.size > 1 ? `${mostly} (where something else bounds it, that)` : mostly, used: pick(own.used), limit: pick(own.limit),
    refused: change(own.throttled), inFlight: pick(own.inFlight), window: pick(own.window), doneRate: each(done), failedRate: each(failed), done, failed, cost: pick(samples.cost),
  };
};

F.countedSeries = (run, lane, from, to) => {
  // About eight attempts in each, so that chance shows less than the run does.
  const BUCKETS = Math.max(12, Math.min(160, Math.round(run.attempts.item.length / 8)));
  const a = run.attempts, number = a.lanes.indexOf(lane), width = Math.max(1, (to - from) / BUCKETS);
  const zeros = () => new Array(BUCKETS + 1).fill(0);
  const used = zeros(), busy = zeros(), refused = zeros(), done = zeros(), failed = zeros();
  const bucket = (ms) => Math.min(BUCKETS, Math.max(0, Math.floor((ms - from) / width)));
  for (let i = 0; i < a.item.length; i++) {
    const start = a.started[i], end = start + a.ms[i];
    if (a.lane[i] !== number || end < from || start > to) continue;
    used[bucket(start)] += 60000 / width;
    if (a.status[i] === 429) refused[bucket(end)]++;
    const last = bucket(end);
    for (let b = bucket(start); b <= last; b++) {
      busy[b] += Math.max(0, Math.min(end, from + (b + 1) * width) - Math.max(start, from + b * width)) / width;
    }
  }
  let finished = 0, lost = 0;
  const items = run.items, ends = [];
  for (let i = 0; i < items.count; i++) {
    if (!items.started[i] && !items.ms[i]) continue;
    const end = items.started[i] + items.ms[i];
    if (end < from) { if (items.status[i] === "3") lost++; else finished++; } else if (end <= to + 1000) ends.push([bucket(end), items.status[i]]);
  }
  const step = zeros(), bad = zeros();
  for (const [b, status] of ends) { if (status === "3") bad[b]++; else step[b]++; }
  for (let b = 0; b <= BUCKETS; b++) { done[b] = finished += step[b]; failed[b] = lost += bad[b]; }
  return {
    at: done.map((_, b) => from + (b + 0.5) * width), unit: run.hasAttempts ? "requests" : "items", used: used.map(Math.round), limit: null,
    refused, inFlight: busy.map((n) => Math.round(n * 10) / 10), window: null, doneRate: step.map((n) => n * 1000 / width),
    failedRate: bad.map((n) => n * 1000 / width), done, failed, cost: null,
  };
};

const plotted = [];
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plotted.forEach((plot) => plot()));

// A chart that fills its figure. series: [name, values, colour, {dashed, bars, scale, fill, digits}]
F.plot = (title, x, series, changes, note) => {
  const box = F.el("div", {class: "plot"});
  const figure = F.el("figure", {"aria-label": title}, F.el("figcaption", {}, F.el("b", {}, title), note ? " " + note : ""), box);
  let chart = null;
  const shown = series.filter(([, values]) => values && values.some((value) => value !== null));
  const draw = () => {
    if (chart) chart.destroy();
    const ink = F.colour("quiet"), line = F.colour("line");
    const axis = {stroke: ink, grid: {stroke: line, width: 1}, ticks: {stroke: line, width: 1}, font: "12px system-ui, sans-serif"};
    const value = (digits, mark) => (_, number) => number === null || number === undefined ? "–" : mark + Number(number).toLocaleString("en-US", {maximumFractionDigits: digits});
    const options = {
      width: Math.max(240, box.clientWidth), height: 190, cursor: {sync: {key: "run"}, y: false, points: {size: 6}}, legend: {live: true},
      scales: {x: {time: true}, y: {range: (_, low, high) => [0, Math.max(1, high * 1.08)]}, count: {range: (_, low, high) => [0, Math.max(4, high * 3)]}, money: {range: (_, low, high) => [0, high * 1.08 || 1]}},
      axes: [{...axis, space: 90, values: (_, ticks) => ticks.map((tick) => F.time(tick))}, {...axis, scale: shown.length ? shown[0][3].scale || "y" : "y", size: 58, values: (_, ticks) => ticks.map((tick) => tick >= 1e6 ? tick / 1e6 + "M" : tick >= 1e4 ? tick / 1e3 + "k" : (shown[0][3].mark || "") + tick)}],
      series: [{label: "time", value: (_, at) => at === null || at === undefined ? "–" : F.time(at)}, ...shown.map(([label, , colour, more]) => ({
        label, stroke: F.colour(colour), width: more.bars ? 0 : 2, dash: more.dashed ? [6, 4] : undefined, scale: more.scale || "y", spanGaps: false,
        fill: more.bars ? F.colour(colour) : more.fill ? F.colour(colour) + "26" : undefined, points: {show: false},
        paths: more.bars ? uPlot.paths.bars({size: [0.7, 12, 2]}) : more.dashed ? uPlot.paths.stepped({align: 1}) : undefined, value: value(more.digits || 0, more.mark || ""),
      }))],
      hooks: {draw: [(plot) => F.drawMarks(plot, changes)]},
    };
    chart = new uPlot(options, [x, ...shown.map(([, values]) => values)], box);
  };
  plotted.push(draw);
  new ResizeObserver(() => {
    if (!box.clientWidth) return;
    if (!chart) draw(); else chart.setSize({width: Math.max(240, box.clientWidth), height: 190});
  }).observe(box);
  return figure;
};

// Changes that somebody made while the run went: numbered lines, told of below the charts.
F.drawMarks = (plot, changes) => {
  const pen = plot.ctx, ratio = devicePixelRatio || 1, {left, top, width, height} = plot.bbox;
  pen.save();
  pen.strokeStyle = pen.fillStyle = F.colour("ink");
  pen.lineWidth = ratio;
  pen.font = `bold ${11 * ratio}px system-ui, sans-serif`;
  pen.textAlign = "center";
  changes.forEach(([at], i) => {
    const x = plot.valToPos(at, "x", true);
    if (x < left || x > left + width) return;
    pen.setLineDash([2 * ratio, 3 * ratio]);
    pen.beginPath();
    pen.moveTo(x, top + 14 * ratio);
    pen.lineTo(x, top + height);
    pen.stroke();
    pen.fillText(String(i + 1), x, top + 10 * ratio);
  });
  pen.restore();
};
