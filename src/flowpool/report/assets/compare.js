// The page of two runs beside each other.
"use strict";

F.showComparison = (data) => {
  const main = F.id("main"), [one, other] = data.runs;
  F.id("wait").remove();
  const equal = data.kinds[0][1], both = data.kinds[0][1] + data.kinds[1][1];
  main.append(
    F.el("p", {class: "quiet"}, data.content ? "" : "Without content: prompts, variables and answers are left out. ", data.cut),
    F.el("section", {class: "verdict", "aria-label": "How far they agree"}, F.el("strong", {}, both
      ? `${F.share(equal, both)} of the answers are equal: ${F.count(equal)} of ${F.count(both)} items that both have done.`
      : "No item is done in both runs."), F.el("div", {}, F.inWords(one, other))),
    F.section("runs", "The two runs", F.runsTable(data)),
    F.section("agreement", "Agreement of answers", F.agreement(data)),
  );
  if (data.fields.length) main.append(F.section("fields", "Field by field", F.table(["Field", ["Equal"], ["Different"], ["Agreement"]],
    data.fields.map(([name, same, different]) => [name, F.count(same), F.count(different), F.share(same, same + different)]))));
  if (data.errors.length) main.append(F.section("errors", "Errors", F.table(["Error", ["First run"], ["Second run"]], data.errors.map(([error, a, b]) => [error, F.count(a), F.count(b)]))));
  main.append(F.section("items", "Items that differ", F.differing(data)));
  main.dataset.ready = "yes";
};

F.inWords = (one, other) => {
  const words = [];
  if (one.paid && other.paid) words.push(F.compared(other.paid / one.paid, "both cost about the same", "the second costs # of the first"));
  if (one.p50 && other.p50) words.push(F.compared(other.p50 / one.p50, "half of the items took about as long in both", "half of its items took # of the first's time"));
  return words.length ? words.join(", ").replace(/^./, (c) => c.toUpperCase()) + "." : "";
};
F.compared = (factor, same, words) => Math.abs(factor - 1) < 0.03 ? same : words.replace("#", `${(100 * factor).toFixed(0)} %`);

F.runsTable = (data) => {
  const rows = [
    ["Store", (run) => run.source || "none"], ["Run", (run) => run.name], ["Runner", (run) => run.runner], ["Began", (run) => run.began ? F.clock(run.began) : "never"],
    ["Time", (run) => F.seconds(run.seconds * 1000)], ["Done", (run) => F.count(run.counts.done)], ["Failed", (run) => F.count(run.counts.failed)],
    ["To do", (run) => F.count(run.counts.pending + run.counts.cancelled)], ["Paid", (run) => F.dollars(run.paid)],
    ["Tokens", (run) => `${F.figure(run.tokens[0])} in, ${F.figure(run.tokens[1])} out`], ["Attempts", (run) => F.count(run.attempts)],
    ["Half of the items done within", (run) => run.p50 === null ? "–" : F.seconds(run.p50 * 1000)], ["95 % within", (run) => run.p95 === null ? "–" : F.seconds(run.p95 * 1000)],
  ];
  return F.table(["", "First run", "Second run"], rows.map(([name, words]) => [F.el("b", {}, name), ...data.runs.map((run) => words(run))]));
};

F.agreement = (data) => {
  const colours = ["done", "failed", "earlier", "throttled", "pending"], total = Math.max(1, data.kinds.reduce((sum, [, count]) => sum + count, 0));
  const alone = data.alone.map((count, n) => count ? `${F.many(count, "item is", "items are")} in the ${n ? "second" : "first"} run alone` : null).filter(Boolean);
  return F.el("div", {},
    F.el("div", {class: "bar", role: "img", "aria-label": data.kinds.map(([words, count]) => `${words}: ${count}`).join(", ")}, data.kinds.map(([words, count], n) =>
      count ? F.el("span", {title: `${words}: ${F.count(count)}`, style: {width: 100 * count / total + "%", background: `var(--${colours[n]})`}}) : null)),
    F.el("div", {class: "key"}, data.kinds.map(([words, count], n) => F.el("span", {}, F.el("i", {class: "swatch", style: {background: `var(--${colours[n]})`}}), `${F.count(count)} ${words}`))),
    F.el("p", {class: "quiet"}, `${F.many(data.matched, "item")} matched`, alone.length ? `; ${alone.join(", ")}.` : "."));
};

const opened = new Map();
F.rowTexts = async (n) => {
  const chunk = Math.floor(n / F.chunk), element = F.id(`texts-${chunk}`);
  if (!element) return [null, null, null, []];
  if (!opened.has(chunk)) opened.set(chunk, F.unpack(element));
  return (await opened.get(chunk))[n % F.chunk];
};

F.differing = (data) => {
  if (!data.rows.length) return F.el("p", {class: "quiet"}, "None: where both are done, the answers are equal.");
  const PAGE = 50, names = data.kinds.map(([words]) => words);
  let kind = -1, at = 0;
  const list = F.el("div", {}), where = F.el("span", {class: "quiet", "aria-live": "polite"});
  const chosen = () => data.rows.map((row, n) => [row, n]).filter(([row]) => kind < 0 || row[0] === kind);
  const figures = (item) => item ? [`item ${item[0]}`, item[1] ? F.seconds(item[1] * 1000) : "", item[2] === null ? "" : F.dollars(item[2]), item[3]].filter(Boolean).join(", ") : "not in this run";
  const show = async () => {
    const rows = chosen(), page = rows.slice(at, at + PAGE);
    const texts = await Promise.all(page.map(([, n]) => F.rowTexts(n)));
    where.textContent = rows.length ? `${F.count(at + 1)} to ${F.count(at + page.length)} of ${F.count(rows.length)}${data.moreRows ? ` (${F.count(data.moreRows)} more are not in this file)` : ""}` : "none";
    const cell = (item, answer, differ) => F.el("div", {}, F.el("div", {class: "quiet"}, figures(item)),
      F.isPairs(answer) && differ.length ? F.texts(answer.filter(([name]) => differ.includes(name))) : answer === null ? null : F.texts(answer));
    list.replaceChildren(F.table(["How", ...(data.content ? ["What was asked"] : []), "First run", "Second run"], page.map(([row], k) => {
      const [variables, one, other, differ] = texts[k];
      return [names[row[0]], ...(data.content ? [F.short(F.plainText(variables), 240)] : []), cell(row[1], one, differ), cell(row[2], other, differ)];
    })));
  };
  const turn = (by) => { const most = Math.floor((chosen().length - 1) / PAGE) * PAGE; at = Math.max(0, Math.min(most, at + by)); show(); };
  const kinds = [...new Set(data.rows.map((row) => row[0]))];
  const tools = F.el("div", {class: "tools"}, kinds.length > 1 ? F.el("label", {}, "Show ", F.el("select", {onchange: (event) => { kind = Number(event.target.value); at = 0; show(); }},
    F.el("option", {value: -1}, "all"), kinds.map((one) => F.el("option", {value: one}, names[one])))) : null,
    F.el("button", {onclick: () => turn(-PAGE)}, "Previous"), F.el("button", {onclick: () => turn(PAGE)}, "Next"), where);
  show();
  return F.el("div", {}, tools, list);
};
