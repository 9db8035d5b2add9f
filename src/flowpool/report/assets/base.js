// What both pages stand on. All text that others made goes through `textContent`, never through markup.
"use strict";

const F = {};

// Elements: F.el("td", {class: "number", title: "..."}, "text", child, ...)
F.el = (name, attributes, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (key === "style") for (const [name, is] of Object.entries(value)) element.style.setProperty(name, is);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
};

F.id = (name) => document.getElementById(name);

F.unpack = async (element) => {
  const text = element.textContent.trim();
  let bytes;
  if (Uint8Array.fromBase64) bytes = Uint8Array.fromBase64(text);
  else {
    const raw = atob(text);
    bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};

// Columns as payload.py writes them.
F.column = (column) => {
  if (Array.isArray(column)) return column;
  const values = new Array(column.n).fill(column.usual);
  let at = 0;
  column.at.forEach((delta, i) => { at += delta; values[at] = column.is[i]; });
  return values;
};
F.running = (deltas) => {
  const values = new Float64Array(deltas.length);
  let sum = 0;
  for (let i = 0; i < deltas.length; i++) values[i] = sum += deltas[i];
  return values;
};

// Figures as people say them.
F.count = (number) => Math.round(number).toLocaleString("en-US");
F.figure = (number) => number >= 1e9 ? (number / 1e9).toFixed(2) + " G"
  : number >= 1e6 ? (number / 1e6).toFixed(2) + " M"
  : number >= 1e5 ? (number / 1e3).toFixed(0) + " k" : F.count(number);
F.dollars = (amount) => amount === null || amount === undefined ? "unknown"
  : amount > 0 && amount < 0.0001 ? "less than $0.0001"
  : amount >= 0.095 || !amount ? "$" + amount.toLocaleString("en-US", {minimumFractionDigits: 2, maximumFractionDigits: 2})
  : "$" + amount.toPrecision(2);
F.seconds = (ms) => {
  const s = ms / 1000;
  if (!s) return "0 s";
  if (s < 0.0995) return (s * 1000).toFixed(s < 0.00995 ? 1 : 0) + " ms";
  if (s < 0.995) return s.toFixed(2) + " s";
  if (s < 59.95) return s.toFixed(1) + " s";
  const minutes = Math.floor(Math.round(s) / 60), rest = Math.round(s) % 60, hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min ${rest} s`;
};
F.clock = (epoch) => {
  const date = new Date(epoch * 1000), two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
};
F.time = (epoch) => F.clock(epoch).slice(11);
F.share = (part, whole) => {
  if (!whole) return "0 %";
  const percent = 100 * part / whole;
  return (percent >= 10 || !percent ? percent.toFixed(0) : percent >= 0.1 ? percent.toFixed(1) : "< 0.1") + " %";
};
F.many = (number, one, several) => `${F.count(number)} ${number === 1 ? one : several || one + "s"}`;

// A text that may be cut: a string, or what is left of it and how long it was.
F.text = (text) => {
  if (text === null || text === undefined) return F.el("p", {class: "quiet"}, "nothing");
  const [words, length] = Array.isArray(text) ? text : [text, 0];
  const block = F.el("pre", {tabindex: 0, dir: "auto"}, words === "" ? F.el("span", {class: "quiet"}, "empty") : words);
  return length ? F.el("div", {}, block, F.el("p", {class: "quiet"},
    `Cut to keep this file small: ${F.count(length)} characters in all.`)) : block;
};
F.isPairs = (texts) => Array.isArray(texts) && (texts.length === 0 || Array.isArray(texts[0]));
F.texts = (texts) => {
  if (!F.isPairs(texts)) return F.text(texts);
  return F.el("dl", {class: "fields"}, texts.map(([name, text]) => [F.el("dt", {}, name), F.el("dd", {}, F.text(text))]));
};
F.plainText = (texts) => {
  if (texts === null || texts === undefined) return "";
  if (typeof texts === "string") return texts;
  if (F.isPairs(texts)) return texts.map(([name, text]) => `${name}: ${F.plainText(text)}`).join(", ");
  return texts[0] + "…";
};
F.short = (words, most) => { const line = words.slice(0, most * 4).replace(/\s+/g, " "); return line.length > most ? line.slice(0, most - 1) + "…" : line; };

F.table = (heads, rows, more) => F.el("div", {class: "scroll", tabindex: 0}, F.el("table", more || {},
  F.el("thead", {}, F.el("tr", {}, heads.map((head) => typeof head === "string" ? F.el("th", {scope: "col"}, head)
    : F.el("th", {scope: "col", class: "number"}, head[0])))),
  F.el("tbody", {}, rows.map((row) => F.el("tr", {}, row.map((cell, i) =>
    F.el("td", {class: Array.isArray(heads[i]) ? "number" : null}, cell)))))));

F.cards = (cards) => F.el("div", {class: "cards"}, cards.filter(Boolean).map(([name, value, note, kind]) =>
  F.el("div", {class: "card" + (kind ? " " + kind : "")}, F.el("div", {class: "name"}, name),
    F.el("div", {class: "value"}, value), note ? F.el("div", {class: "note"}, note) : null)));

// Colours: Okabe and Ito's, told apart by everybody; each is beside a text or a shape too.
F.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

// A canvas as sharp as the screen, drawn anew when its size or the colours change.
F.canvas = (canvas, draw) => {
  let wanted = false;
  const now = () => {
    wanted = false;
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    draw(pen, width, height);
  };
  const soon = () => { if (!wanted) { wanted = true; requestAnimationFrame(now); } };
  new ResizeObserver(soon).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", soon);
  return soon;
};

// What stands beside the pointer.
F.tip = (lines, x, y) => {
  const tip = F.id("tip");
  tip.replaceChildren(...lines.map((line) => F.el("div", {}, line)));
  tip.hidden = false;
  const {width, height} = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 8)) + "px";
  tip.style.top = Math.max(4, y + 18 + height > innerHeight ? y - height - 10 : y + 18) + "px";
};
F.noTip = () => { F.id("tip").hidden = true; };

F.section = (id, title, ...children) => F.el("section", {id, "aria-labelledby": id + "-title"},
  F.el("h2", {id: id + "-title"}, title), ...children);

F.start = (show) => F.unpack(F.id("data")).then(show).catch((error) => {
  F.id("wait").textContent = typeof DecompressionStream === "undefined"
    ? "This browser is too old to unpack the report: use one from 2023 or later."
    : "The report can't be shown: " + error;
  console.error(error);
});
