// One item: what it was given, what became of it, and each of its attempts.
"use strict";

const unpacked = new Map();
F.itemTexts = async (i) => {
  const chunk = Math.floor(i / F.chunk), element = F.id(`texts-${chunk}`);
  if (!element) return [null, null, [], ""];
  if (!unpacked.has(chunk)) unpacked.set(chunk, F.unpack(element));
  return (await unpacked.get(chunk))[i % F.chunk];
};

F.itemDialog = (run) => {
  const items = run.items, body = F.el("div", {}), dialog = F.el("dialog", {"aria-labelledby": "item-title"}, body);
  let current = 0;
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("input, pre, .scroll")) return;
    if (event.key === "ArrowLeft" && current > 0) open(current - 1);
    if (event.key === "ArrowRight" && current < items.count - 1) open(current + 1);
  });
  const open = async (i) => {
    current = i;
    const [variables, output, steps, message] = await F.itemTexts(i);
    if (current !== i) return;
    const state = STATES[items.status[i]], group = items.group[i] ? run.errors[items.group[i] - 1] : null;
    const top = F.el("div", {class: "top"},
      F.el("h2", {id: "item-title"}, `Item ${i}: `, F.el("span", {class: `state ${state.split(" ").pop() === "started" ? "pending" : state}`}, state)),
      F.el("button", {onclick: () => open(i - 1), disabled: i === 0}, "Previous"),
      F.el("button", {onclick: () => open(i + 1), disabled: i === items.count - 1}, "Next"),
      F.el("button", {onclick: () => dialog.close()}, "Close"));
    const left = run.content ? null : F.el("p", {class: "quiet"}, "This report was made without content: prompts, variables and answers are left out.");
    body.replaceChildren(top, F.itemFigures(run, i), left || "",
      message && F.plainText(message) || group ? F.el("div", {}, F.el("h3", {}, "Error"), F.el("p", {}, F.el("b", {}, group ? group.error : "")), F.text(message),
        group && group.fix ? F.el("p", {class: "fix"}, F.el("b", {}, "What to do: "), group.fix) : null) : "",
      run.content ? F.el("div", {}, F.el("h3", {}, "What it was given"), F.texts(variables)) : "",
      run.content && items.status[i] === "2" ? F.el("div", {}, F.el("h3", {}, "Answer"), F.texts(output)) : "",
      steps.length ? F.el("div", {}, F.el("h3", {}, "Steps"), F.el("dl", {class: "fields"}, steps.map(([name, texts]) => [F.el("dt", {}, `Step ${name}`), F.el("dd", {}, F.texts(texts))]))) : "",
      F.itemAttempts(run, i));
    if (!dialog.open) dialog.showModal();
    body.scrollTop = 0;
    top.querySelector("button:last-child").focus();
  };
  document.body.append(dialog);
  return open;
};

F.itemFigures = (run, i) => {
  const items = run.items, pairs = [];
  if (items.ms[i]) pairs.push(["Took", `${F.seconds(items.ms[i])}, from ${F.clock(run.began + items.started[i] / 1000)}`]);
  if (items.earlier[i]) pairs.push(["When", "in an earlier session: the store had its answer"]);
  if (items.models[items.model[i]]) pairs.push(["Model", items.models[items.model[i]]]);
  if (items.in[i] || items.out[i]) pairs.push(["Tokens", `${F.count(items.in[i])} in${items.cached[i] ? ` (${F.count(items.cached[i])} from the provider's cache)` : ""}, ${F.count(items.out[i])} out`]);
  if (items.cost[i] !== null) pairs.push(["Cost", F.dollars(items.cost[i] / 1e6)]);
  pairs.push(["Attempts", F.count(items.attempts[i])]);
  return F.el("dl", {class: "pairs"}, pairs.map(([name, value]) => [F.el("dt", {}, name), F.el("dd", {}, value)]));
};

F.itemAttempts = (run, i) => {
  if (!run.hasAttempts) return F.el("p", {class: "quiet"}, "Single attempts are kept by a run with a store: Pool(..., store=\"run.db\").");
  const a = run.attempts, mine = run.attemptsOf(i);
  if (!mine.length) return F.el("p", {class: "quiet"}, "No attempt was made for it.");
  const total = Math.max(...mine.map((k) => F.spent(run, k).reduce((sum, [, , ms]) => sum + ms, 0)), 1);
  const rows = mine.map((k, n) => {
    const strip = F.el("div", {class: "strip"}, F.spent(run, k).map(([kind, words, ms]) =>
      F.el("span", {title: `${words}: ${F.seconds(ms)}`, style: {width: 100 * ms / total + "%", background: `var(--${kind})`}})));
    const waits = F.spent(run, k).map(([, words, ms]) => `${words} ${F.seconds(ms)}`).join(", ");
    return [String(n + 1), a.stepOf[k], a.lanes[a.lane[k]], F.time(run.began + a.started[k] / 1000), F.seconds(a.ms[k]), F.outcome(run, k),
      F.el("div", {}, strip, F.el("div", {class: "quiet"}, waits)), a.in[k] || a.out[k] ? `${F.count(a.in[k])} + ${F.count(a.out[k])}` : "", a.cost[k] === null ? "" : F.dollars(a.cost[k] / 1e6)];
  });
  const why = mine.slice(1).map((k, n) => F.whyAgain(run, mine[n], k, n + 2)).filter(Boolean);
  return F.el("div", {}, F.el("h3", {}, "Attempts"),
    F.table([["#"], "Step", "Through", "Sent at", ["Took"], "Outcome", "Where the time went", ["Tokens"], ["Cost"]], rows, {class: "attempts"}),
    why.length ? F.el("div", {}, F.el("h3", {}, "Why it was tried again"), F.el("ul", {}, why.map((words) => F.el("li", {}, words)))) : null);
};

// Where an attempt's time went: [kind, words, ms], what it had no part in left out.
F.spent = (run, k) => run.kinds.map(([kind, words]) => [kind, words, run.attempts.times[kind] ? run.attempts.times[kind][k] : F.restOf(run, k, kind)]).filter(([, , ms]) => ms > 0);
F.restOf = (run, k, kind) => {
  const a = run.attempts, rest = Math.max(0, a.ms[k] - a.times.connect[k] - a.times.first_byte[k]);
  return (kind === "reading") === Boolean(a.isModel[a.lane[k]]) ? rest : 0;
};
F.outcome = (run, k) => {
  const a = run.attempts, status = a.status[k] ? ` (${a.status[k]})` : "";
  return a.errorOf[k] ? F.el("span", {class: "state failed"}, a.errorOf[k] + status) : F.el("span", {class: "state done"}, "answered" + status);
};
F.whyAgain = (run, before, k, number) => {
  const a = run.attempts;
  if (a.stepOf[before] !== a.stepOf[k]) return null;
  const status = a.status[before] ? `, status ${a.status[before]}` : "", waited = a.times.backoff[k] + a.times.limit_wait[k];
  const reason = a.errorOf[before] ? `attempt ${number - 1} ended with ${a.errorOf[before]}${status}` : `the answer to attempt ${number - 1} didn't fit, or the run was begun again`;
  const other = a.lane[before] !== a.lane[k] ? `; it went through ${a.lanes[a.lane[k]]} instead` : "";
  return `Attempt ${number}: ${reason}${waited ? `; it waited ${F.seconds(waited)} before` : ""}${other}.`;
};
