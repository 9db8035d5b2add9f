// The page of one run.
"use strict";

F.readRun = (run) => {
  const items = run.items, a = run.attempts;
  items.count = items.status.length;
  items.started = F.running(items.started);
  for (const name of ["cached", "group", "earlier"]) items[name] = F.column(items[name]);
  a.item = F.running(a.item);
  a.started = F.running(a.started);
  a.times = {};
  for (const name of ["slot_wait", "limit_wait", "budget_wait", "backoff", "connect", "first_byte"]) a.times[name] = F.column(a[name]);
  for (const name of ["step", "status", "error"]) a[name] = F.column(a[name]);
  a.errorOf = a.error.map((number) => a.errors[number]);
  a.stepOf = a.step.map((number) => a.steps[number]);
  a.isModel = a.lanes.map((name) => name.includes("/"));
  let byItem = null;
  run.attemptsOf = (i) => {
    if (!byItem) { byItem = new Map(); a.item.forEach((item, k) => { if (!byItem.has(item)) byItem.set(item, []); byItem.get(item).push(k); }); }
    return byItem.get(i) || [];
  };
  return run;
};

F.showRun = (data) => {
  const run = F.readRun(data), open = F.itemDialog(run), main = F.id("main");
  F.id("wait").remove();
  main.append(F.head(run), F.verdict(run), F.figures(run));
  // What is looked at first is drawn first.
  requestAnimationFrame(() => setTimeout(() => {
    const range = F.ranged(run, open);
    main.append(...[range.charts, F.times(run), range.gantt, F.histogram(run),
      run.items.count ? F.section("grid", "Items", F.grid(run, open), F.goTo(run, open)) : null,
      F.errors(run, open), F.slowest(run, open), F.settings(run)].filter(Boolean));
    range.begin();
    main.dataset.ready = "yes";
  }));
};

F.head = (run) => {
  const began = run.began ? F.clock(run.began) : null, ended = run.ended ? F.clock(run.ended) : null;
  return F.el("div", {}, F.el("p", {class: "runner"}, run.runner),
    F.el("p", {class: "quiet"}, began ? `Began ${began}, ended ${began.slice(0, 10) === ended.slice(0, 10) ? ended.slice(11) : ended} (in your time zone).` : "Nothing was sent.",
      run.content ? "" : " Without content: prompts, variables and answers are left out.", run.cut ? " " + run.cut : ""));
};

// What held the run back, in words, and for how long.
F.verdict = (run) => {
  const held = run.bottlenecks.map(([kind, words, fix, lane, from, to]) => ({kind, words, fix, lane, from, ms: Math.max(0, to - from)}));
  const left = run.counts.pending + run.counts.running, list = held.slice(-6), most = Math.max(1, ...list.map((one) => one.ms));
  // At the end of every run there is nothing more to begin: that tells nothing of the run.
  const telling = held.filter((one) => one.kind && one.kind !== "items");
  let chief = left && held.length ? held[held.length - 1] : telling.length ? telling.reduce((a, b) => b.ms > a.ms ? b : a) : F.guessed(run);
  if (!run.items.count) chief = {words: "This run has no items yet."};
  const isBad = Boolean(run.reason) || run.counts.failed > 0.5 * Math.max(1, run.items.count);
  return F.el("section", {id: "verdict", class: "verdict" + (isBad ? " bad" : ""), "aria-label": "What held the run back"},
    run.reason ? F.el("p", {}, F.el("b", {}, "Ended before its end: "), run.reason) : null,
    F.el("strong", {}, chief.words), chief.fix ? F.el("div", {}, chief.fix) : null,
    run.items.count && list.length ? F.el("ul", {}, list.map((one) => F.el("li", {},
      F.el("span", {class: "meter-box"}, F.el("span", {class: "meter", style: {width: 100 * one.ms / most + "%", background: "var(--done)"}})),
      F.el("span", {}, F.seconds(one.ms)), F.el("span", {}, one.words, run.began ? F.el("span", {class: "quiet"}, ` from ${F.time(run.began + one.from / 1000)}`) : "")))) : null);
};

// Where nobody wrote down what held it back: where the time of its calls went.
F.guessed = (run) => {
  const sums = new Map();
  for (const {kinds} of run.times) for (const [kind, figures] of Object.entries(kinds)) sums.set(kind, (sums.get(kind) || 0) + figures[1]);
  const total = [...sums.values()].reduce((a, b) => a + b, 0), names = new Map(run.kinds);
  const [kind, seconds] = [...sums].sort((a, b) => b[1] - a[1])[0] || [];
  if (!total) return {words: run.counts.done ? "All that could be done is done." : "Nothing was done yet."};
  return {words: `Most of the calls' time went into: ${names.get(kind)} (${F.share(seconds, total)}).`};
};

F.figures = (run) => {
  const {counts, spend, tokens} = run, left = counts.pending + counts.running, all = run.items.count;
  const took = run.sessions.reduce((sum, [from, to]) => sum + to - from, 0), ended = counts.done + counts.failed;
  const saved = (spend.cached || 0) + (spend.recalled || 0);
  return F.cards([
    ["Done", F.count(counts.done), all ? `${F.share(counts.done, all)} of ${F.many(all, "item")}` : "", counts.done === all && all ? "good" : ""],
    ["Failed", F.count(counts.failed), run.errors.length ? F.many(run.errors.length + run.moreErrors, "reason") : "", counts.failed ? "bad" : ""],
    left || counts.cancelled ? ["Left", F.count(left + counts.cancelled), [left ? "still to do" : "", counts.cancelled ? `${F.count(counts.cancelled)} cancelled` : ""].filter(Boolean).join(", ")] : null,
    ["Paid", F.dollars(spend.paid), [spend.paid === null && !spend.unpriced ? "no model was asked" : "", spend.unpriced ? `${F.many(spend.unpriced, "answer is", "answers are")} of unknown price` : "",
      spend.unknown ? `at most ${F.dollars(spend.unknown)} more for calls whose end nobody saw` : ""].filter(Boolean).join("; ")],
    !spend.paid || !spend.cached ? null : ["List price", F.dollars(spend.list_price), "without the provider's cache"],
    saved || run.recalled ? ["Saved", F.dollars(saved), [spend.cached ? `${F.dollars(spend.cached)} by cached input` : "", run.recalled ? `${F.many(run.recalled, "item")} by the store${spend.recalled ? ", " + F.dollars(spend.recalled) : ""}` : ""].filter(Boolean).join("; ")] : null,
    tokens[0] + tokens[1] ? ["Tokens", F.figure(tokens[0] + tokens[1]), `${F.figure(tokens[0])} in, ${F.figure(tokens[1])} out` + (tokens[2] ? `, ${F.share(tokens[2], tokens[0])} of input cached` : "")] : null,
    took ? ["Time", F.seconds(took), `${run.sessions.length > 1 ? `in ${run.sessions.length} sessions; ` : ""}${ended > 0 ? F.rate(ended, took) : ""}`] : null,
  ]);
};
F.rate = (count, ms) => { const each = count * 1000 / Math.max(1, ms); return each >= 1 ? `${each.toFixed(1)} items a second` : `${(each * 60).toFixed(1)} items a minute`; };

// Charts and Gantt, which show one session of the run, or all.
F.ranged = (run, open) => {
  const a = run.attempts, all = run.sessions.length ? [run.sessions[0][0], run.sessions[run.sessions.length - 1][1]] : [0, 0];
  if (!a.item.length || !run.began) return {charts: null, gantt: null, begin: () => {}};
  const sums = a.lanes.map((_, n) => n).map((n) => [n, 0]);
  for (let i = 0; i < a.item.length; i++) sums[a.lane[i]][1] += 1;
  const names = [...new Set([...sums.sort((x, y) => y[1] - x[1]).map(([n]) => a.lanes[n]), ...run.samples.lanes.map((one) => one.name)])];
  const isLong = run.sessions.length > 1 && run.sessions.reduce((sum, [from, to]) => sum + to - from, 0) < 0.7 * (all[1] - all[0]);
  let lane = names[0], span = isLong ? run.sessions[run.sessions.length - 1] : all;
  const box = F.el("div", {class: "charts"}), gantt = F.gantt(run, open);
  const changes = run.changes.map(([at, ...rest]) => [run.began + at / 1000, ...rest]);
  const draw = () => {
    const s = F.series(run, lane, span[0], span[1]), x = s.at.map((ms) => run.began + ms / 1000);
    const unit = s.unit.charAt(0).toUpperCase() + s.unit.slice(1);
    box.replaceChildren(
      F.plot(`${unit} a minute`, x, [["sent", s.used, "done", {fill: true}], ["believed limit", s.limit, "failed", {dashed: true}], ["refused (429)", s.refused.some(Boolean) ? s.refused : null, "throttled", {bars: true, scale: "count"}]], changes,
        s.limit && s.limit.some((one) => one !== null) ? "against the limit that was believed" : ""),
      F.plot("In flight", x, [["in flight", s.inFlight, "done", {fill: true, digits: 1}], ["window", s.window, "failed", {dashed: true}]], changes, s.window ? "against the window" : ""),
      F.plot("Items a second", x, [["done", s.doneRate, "own_code", {fill: true, digits: 2}], ["failed", s.failedRate.some(Boolean) ? s.failedRate : null, "failed", {dashed: true, digits: 2}]], changes),
      s.cost && s.cost.some(Boolean) ? F.plot("Dollars so far", x, [["dollars", s.cost, "cancelled", {fill: true, digits: 4, mark: "$", scale: "money"}]], changes) :
      F.plot("Items ended", x, [["done", s.done, "done", {}], ["failed", s.failed.some(Boolean) ? s.failed : null, "failed", {dashed: true}]], changes));
  };
  const choose = (label, values, act) => values.length < 2 ? null : F.el("label", {}, label + " ", F.el("select", {onchange: (event) => act(Number(event.target.value))}, values.map(([words, chosen], n) => F.el("option", {value: n, selected: chosen}, words))));
  const spans = run.sessions.length > 1 ? [all, ...run.sessions] : [all];
  const tools = F.el("div", {class: "tools"}, choose("Lane", names.map((name) => [name, name === lane]), (n) => { lane = names[n]; draw(); }),
    choose("Session", spans.map((one, n) => [n ? `${n}: ${F.clock(run.began + one[0] / 1000)}, ${F.seconds(one[1] - one[0])}` : "all", one === span]), (n) => { span = spans[n]; draw(); gantt.setRange(...span); }));
  const steered = run.changes.length ? F.el("div", {}, F.el("h3", {}, "Changed while it went"), F.el("ol", {}, run.changes.map(([at, what, from, to]) => F.el("li", {}, `${F.time(run.began + at / 1000)}: ${what}${from || to ? ` from ${from || "none"} to ${to || "none"}` : ""}`)))) : null;
  const lanes = run.laneEvents.length ? F.el("details", {}, F.el("summary", {}, `${F.many(run.laneEvents.length, "change")} of a lane's state`), F.table(["At", "Lane", "State", "Error"], run.laneEvents.slice(-200).map(([at, name, state, error]) => [F.time(run.began + at / 1000), name, state, error]))) : null;
  const isTimed = a.times.first_byte.some(Boolean), hasFunctions = a.isModel.includes(false);
  const answers = isTimed ? [["first_byte", "until the first byte", ""], ["reading", "reading the answer", ""]] : [["done", "answered", ""]];
  const key = F.el("div", {class: "key"}, [...answers, ...(hasFunctions ? [["own_code", "a function", ""]] : []), ["throttled", "refused (lower half)", "half"], ["failed", "failed (upper half)", "half"]].map(([name, words, kind]) =>
    F.el("span", {}, F.el("i", {class: "swatch " + kind, style: {background: `var(--${name})`}}), words)));
  return {
    charts: F.section("charts", "How it went", tools, box, steered, lanes),
    gantt: F.section("gantt", run.hasAttempts ? "Slots" : "Items over time", F.el("p", {class: "quiet"}, run.hasAttempts ? "A row a slot of each lane, a bar an attempt." : "A bar an item; a run with a store keeps its single attempts too."), run.hasAttempts ? key : null, gantt.element),
    begin: () => { draw(); gantt.setRange(...span); },
  };
};

// Where the time of calls went, by lane.
F.times = (run) => {
  if (!run.times.length) return null;
  const names = new Map(run.kinds);
  return F.section("times", "Where the time of calls went", run.times.map(({lane, kinds}) => {
    const parts = run.kinds.filter(([kind]) => kinds[kind]), total = parts.reduce((sum, [kind]) => sum + kinds[kind][1], 0);
    return F.el("div", {}, F.el("h3", {}, `${lane}: ${F.many(Math.max(0, ...parts.map(([kind]) => kinds[kind][0])), "attempt")}`),
      F.el("div", {class: "bar", role: "img", "aria-label": parts.map(([kind]) => `${names.get(kind)} ${F.share(kinds[kind][1], total)}`).join(", ")}, parts.map(([kind]) =>
        F.el("span", {title: `${names.get(kind)}: ${F.share(kinds[kind][1], total)}`, style: {width: 100 * kinds[kind][1] / total + "%", background: `var(--${kind})`}}))),
      F.table(["Of each attempt", ["Share"], ["Sum"], ["p50"], ["p95"], ["p99"]], parts.map(([kind, words]) => {
        const [, sum, ...spread] = kinds[kind];
        return [F.el("span", {}, F.el("i", {class: "swatch", style: {background: `var(--${kind})`}}), " " + words), F.share(sum, total), F.seconds(sum * 1000), ...spread.map((s) => F.seconds(s * 1000))];
      })));
  }));
};

F.histogram = (run) => {
  const a = run.attempts, byLane = a.lanes.map(() => []);
  for (let i = 0; i < a.item.length; i++) if (!a.errorOf[i]) byLane[a.lane[i]].push(a.ms[i]);
  const lanes = byLane.map((times, lane) => [lane, times.sort((x, y) => x - y), times.reduce((sum, ms) => sum + ms, 0)])
    .filter(([, times]) => times.length > 1).sort((x, y) => y[2] - x[2]);
  if (!lanes.length) return null;
  const box = F.el("div", {}), draw = (n) => box.replaceChildren(...F.distribution(lanes[n][1], run.hasAttempts ? "answer" : "item"));
  const choice = lanes.length < 2 ? null : F.el("div", {class: "tools"}, F.el("label", {}, "Lane ", F.el("select", {onchange: (event) => draw(Number(event.target.value))},
    lanes.map(([lane], n) => F.el("option", {value: n}, a.lanes[lane])))));
  draw(0);
  return F.section("latency", run.hasAttempts ? "How long answers took" : "How long items took", choice, box);
};

// Bars over times that stand in order; each bar spans as much more time, in proportion, as the one before.
F.distribution = (times, what) => {
  const low = Math.max(1, times[0]), high = Math.max(low * 1.5, times[times.length - 1]), COUNT = 36, step = Math.log(high / low) / COUNT;
  const counts = new Array(COUNT).fill(0);
  for (const ms of times) counts[Math.min(COUNT - 1, Math.max(0, Math.floor(Math.log(Math.max(low, ms) / low) / step)))]++;
  const most = Math.max(...counts), edge = (n) => low * Math.exp(step * n), at = (part) => times[Math.min(times.length - 1, Math.floor(part * times.length))];
  return [
    F.el("p", {class: "quiet"}, `${F.many(times.length, what)}: half within ${F.seconds(at(0.5))}, 95 % within ${F.seconds(at(0.95))}, 99 % within ${F.seconds(at(0.99))}. Each bar spans ${Math.round((Math.exp(step) - 1) * 100)} % more time than the one before.`),
    F.el("div", {class: "columns", role: "img", "aria-label": "Histogram of these times"}, counts.map((count, n) => F.el("div", {class: count ? "" : "none", title: `${F.seconds(edge(n))} to ${F.seconds(edge(n + 1))}: ${F.count(count)}`, style: {height: count ? Math.max(1.5, 100 * count / most) + "%" : "0"}}))),
    F.el("div", {class: "marks", "aria-hidden": "true"}, [0, 1, 2, 3, 4].map((n) => F.el("span", {}, F.seconds(edge(COUNT * n / 4))))),
  ];
};

F.chips = (indexes, open, more) => F.el("div", {class: "chips"}, indexes.map((i) => F.el("button", {onclick: () => open(i), "aria-label": `Item ${i}`}, String(i))), more ? F.el("span", {class: "quiet"}, `and ${F.count(more)} more`) : null);

F.errors = (run, open) => {
  if (!run.errors.length) return null;
  const groups = run.errors.map((group) => {
    const box = F.el("div", {}), shown = group.items.slice(0, 60);
    const details = F.el("details", {class: "group"}, F.el("summary", {}, F.el("b", {}, `${F.count(group.count)} ×`), ` ${group.error}: `, F.el("span", {class: "quiet"}, F.short(group.message, 160))), box);
    details.addEventListener("toggle", () => {
      if (!details.open || box.firstChild) return;
      box.append(...[group.fix ? F.el("p", {class: "fix"}, F.el("b", {}, "What to do: "), group.fix) : null, F.el("h3", {}, "An example, ", F.el("button", {class: "link", onclick: () => open(group.example)}, `item ${group.example}`)),
        F.text(group.message), F.el("h3", {}, F.many(group.count, "item")), F.chips(shown, open, group.count - shown.length)].filter(Boolean));
    });
    return details;
  });
  return F.section("errors", "Why items failed", F.el("p", {class: "quiet"}, "Errors that differ only in numbers, ids and quoted texts are one group."), groups,
    run.moreErrors ? F.el("p", {class: "quiet"}, `And ${F.count(run.moreErrors)} more groups.`) : null);
};

F.slowest = (run, open) => {
  if (!run.slowest.length) return null;
  const items = run.items;
  return F.section("slowest", "Slowest items", F.table(["Item", "State", ["Took"], ["Attempts"], ["Tokens out"], ...(run.hasAttempts ? ["Most of it was"] : [])], run.slowest.map((i) => {
    const sums = new Map();
    for (const k of run.hasAttempts ? run.attemptsOf(i) : []) for (const [, words, ms] of F.spent(run, k)) sums.set(words, (sums.get(words) || 0) + ms);
    const [words, ms] = [...sums].sort((x, y) => y[1] - x[1])[0] || ["", 0], state = STATES[items.status[i]];
    return [F.el("button", {class: "link", onclick: () => open(i)}, `item ${i}`), F.el("span", {class: "state " + state}, state), F.seconds(items.ms[i]), F.count(items.attempts[i]), F.count(items.out[i]), ...(run.hasAttempts ? [words ? `${words}, ${F.seconds(ms)}` : ""] : [])];
  })));
};

F.goTo = (run, open) => {
  const input = F.el("input", {type: "number", min: 0, max: run.items.count - 1, id: "go-to", required: true, size: 8, placeholder: `0 to ${run.items.count - 1}`});
  return F.el("form", {class: "tools", onsubmit: (event) => { event.preventDefault(); const i = Number(input.value); if (i >= 0 && i < run.items.count) open(Math.floor(i)); }},
    F.el("label", {for: "go-to"}, "Open item"), input, F.el("button", {}, "Open"));
};

F.settings = (run) => F.section("settings", "Settings", run.settings.length
  ? F.el("dl", {class: "pairs"}, run.settings.map(([name, value]) => [F.el("dt", {}, name), F.el("dd", {}, F.short(value, 2000))]))
  : F.el("p", {class: "quiet"}, "All as they are by default."));
