// The host's page of trials. One thing is asked after another, and each answer is a whole new look at one trial.
const { h } = window.kontext;
const root = element.querySelector(".trials");
const LINKS = "kontext-trial-links"; // the judges' codes by trial: this browser alone has them, the app keeps hashes
const QUIET = 500; // ms without a change before a draft is saved
const AGAIN = { sealed: 800, making: 800, open: 10_000 }; // ms until a trial of that state is looked at again
let shown = null; // the trial on the page
let draft = null; // what is typed of it: its cases know by `at` which of the saved ones they are
let sure = ""; // the button that was pressed once and asks to be pressed again
let said = ""; // what the last question brought, where that is a sentence
let checked = false; // whether what is missing is said: from the first press on
let early = null; // results that were looked at before the closing
let saving = null;
let polling = null;

// Asking: by number, so that no answer is taken for another's.
let number = 0;
let answered = null;
let queue = Promise.resolve({});
const ask = (does, more = () => ({})) => (queue = queue.then(() => new Promise((done) => {
  answered = { number: ++number, done };
  trigger("ask", { does, number, trial: shown?.id || "", ...more() });
  setTimeout(() => done({ error: "No answer came. Reload the page and try again." }), 90_000);
})));
watch("value", () => { if (props.value?.number === answered?.number) answered.done(props.value); });

const kept = () => { try { return JSON.parse(localStorage.getItem(LINKS)) || {}; } catch { return {}; } };
function keep(trial, code) {
  const links = { ...kept(), [trial]: code };
  try { localStorage.setItem(LINKS, JSON.stringify(links)); } catch { /* forbidden: the link is shown this once */ }
}
const judgeLink = () => `${new URL("judge", location.origin + location.pathname)}#${kept()[shown.id]}`;

const button = (label, act, more = {}) => h("button", { type: "button", onclick: act, ...more }, label);
// What can't be undone is pressed twice.
const twice = (key, label, again, act, redraw) => button(sure === key ? again : label, () => {
  const now = sure === key;
  sure = now ? "" : key;
  if (now) act(); else redraw();
}, { class: sure === key ? "sure" : null });
async function act(does, more) {
  if (saving) await save();
  return take(await ask(does, more));
}

function take(answer) {
  said = answer.error || (answer.problems || []).map((one) => one.message).join(" ");
  if (answer.code) keep(answer.trial.id, answer.code);
  if (answer.early) early = answer.early;
  if (answer.trials) { shown = null; location.hash = "#trials"; drawAll(answer.trials); } else if (answer.trial) show(answer.trial); else draw();
  return answer;
}

function show(trial) {
  if (shown?.id !== trial.id) { sure = ""; early = null; checked = false; }
  shown = trial;
  if (trial.state === "draft") draft = { ...trial, cases: trial.cases.map((one, at) => ({ ...one, at })) };
  const address = `#trials/${trial.id}`;
  if (here() && location.hash !== address) history.pushState(null, "", address);
  draw();
}

// All trials.
function drawAll(trials) {
  window.kontext.redraw(root, () => root.replaceChildren(
    h("div", { class: "bar" }, h("h2", {}, "Trials"), button("New trial", () => act("new"), { class: "main" })),
    h("p", { class: "lead" }, "Which variant is good enough for your job? Your colleagues judge its pictures without knowing which is which. You get a verdict, how sure it is, and what it costs."),
    h("ul", { class: "list" }, trials.map((trial) => h("li", {}, h("a", { href: `#trials/${trial.id}` }, h("b", {}, trial.title), h("span", {}, trial.line))))),
    trials.length ? "" : h("ol", { class: "steps" },
      h("li", {}, h("b", {}, "Collect cases. "), "Prompts with their references, as your job has them: eight or more."),
      h("li", {}, h("b", {}, "Seal it. "), "Every variant makes every case, at a price that you see first."),
      h("li", {}, h("b", {}, "Send the link. "), "Three or more people say which picture is best. It costs them nothing."),
      h("li", {}, h("b", {}, "Close it. "), "Read the verdict, and take the report along.")),
    h("p", { role: "alert" }, said)));
}

// A draft.
function edit(change, redraw) {
  Object.assign(draft, change);
  sure = "";
  if (redraw) draw();
  clearTimeout(saving);
  saving = setTimeout(save, QUIET);
}

async function save() {
  clearTimeout(saving);
  saving = null;
  const id = shown.id, cases = draft.cases;
  const answer = await ask("save", () => ({ draft: {
    title: draft.title, question: draft.question, variants: draft.variants, judges: draft.expected, margin: draft.margin,
    closes_at: draft.closes_at || null, mark: draft.mark,
    cases: cases.map(({ at, two, changed, prompt }) => ({ at, two, prompt: changed ? prompt : null })),
  } }));
  if (shown?.id !== id) return answer;
  said = answer.error || (answer.problems || []).map((one) => one.message).join(" ");
  if (answer.trial) {
    cases.forEach((one, at) => { one.at = at; });
    draft.cases.forEach((one, at) => { one.told = answer.trial.cases[at]?.told ?? one.told; });
    Object.assign(draft, { mark: answer.trial.mark, plan: answer.trial.plan });
    drawPlan();
  } else take(await ask("show")); // changed elsewhere, or more than can be: as it stands
  return answer;
}

const problemsAt = (name) => h("p", { class: "problem", role: "alert", "data-at": name });
const typed = (name, label, note, attributes, make = "input") => h("label", {}, h("b", {}, label), h("small", {}, note),
  h(make, { value: draft[name], oninput: ({ target }) => edit({ [name]: target.type === "number" ? Math.round(Number(target.value)) : target.value }), ...attributes }),
  problemsAt(name));
const localTime = (iso) => { const at = new Date(iso); return iso ? new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : ""; };

function drawCase(one, at) {
  const name = `Case ${at + 1}`;
  return h("li", {},
    h("div", { class: "thumbs" }, one.pictures.map((url, place) => h("img", { src: url, alt: `${name}, reference ${place + 1}`, loading: "lazy" }))),
    h("label", {}, h("b", {}, name), h("textarea", { rows: 2, oninput: ({ target }) => { one.changed = true; one.prompt = target.value; edit({}); } }, one.prompt)),
    one.told && h("small", {}, one.told),
    h("div", { class: "acts" },
      h("label", { class: "tick" }, h("input", { type: "checkbox", checked: one.two, onchange: ({ target }) => { one.two = target.checked; edit({}); } }), "Two pictures per variant"),
      button("Remove", () => edit({ cases: draft.cases.filter((other) => other !== one) }, true), { "aria-label": `Remove case ${at + 1}` })),
    problemsAt(`case-${at + 1}`));
}

function drawDraft() {
  const { limits } = props;
  return [
    typed("title", "Title", "Judges read it first.", { maxlength: limits.title, placeholder: "For example: Autumn shop pictures" }),
    typed("question", "Question for the judges", "Ask for what the job needs.", { maxlength: limits.question, placeholder: "For example: Which picture would you put on the shop page?" }),
    h("section", { "aria-label": "Cases" }, h("h3", {}, "Cases"),
      h("small", {}, `A case is a prompt with its references. Every variant makes it. A verdict takes at least ${limits.min_cases} cases; more cases tell more than more judges. Two pictures of each variant tell luck from the variant.`),
      h("ol", { class: "cases" }, draft.cases.map(drawCase)), problemsAt("cases"),
      h("div", { class: "acts" }, button("Add from the studio", () => act("add")), button("Add from your history", () => { location.hash = ""; window.kontext.trials.history(); }),
        draft.cases.length > 1 && button("Two per variant in all cases", () => { draft.cases.forEach((one) => { one.two = true; }); edit({}, true); }))),
    h("fieldset", {}, h("legend", {}, "Variants"), h("small", {}, "Two to four. Each makes every case."),
      h("div", { class: "variants" }, props.variants.map((variant) => h("label", { class: "tick" }, h("input", { type: "checkbox", checked: draft.variants.includes(variant.id),
        onchange: ({ target }) => edit({ variants: target.checked ? [...draft.variants, variant.id] : draft.variants.filter((id) => id !== variant.id) }) }),
      `${variant.name} · ${draft.prices[variant.id]}`))), problemsAt("variants")),
    h("div", { class: "row" },
      typed("expected", "Judges you expect", `A verdict takes at least ${limits.min_judges}.`, { type: "number", min: 1, max: limits.judges, "data-name": "judges" }),
      typed("margin", "Margin", "How many pictures in 100 the cheaper variant may be worse and still be taken.", { type: "number", min: 0, max: limits.margin }),
      typed("closes_at", "Closes", "Leave it empty to close by hand.", { type: "datetime-local", value: localTime(draft.closes_at), oninput: ({ target }) => edit({ closes_at: target.value ? new Date(target.value).toISOString() : "" }) })),
    h("p", {}, h("small", {}, "Sealing fixes the question, the cases, the variants and the rules, so that nobody can change them once results are in sight.")),
    h("section", { class: "plan", "aria-label": "Plan" }),
  ];
}

function drawPlan() {
  const { plan } = draft, box = root.querySelector(".plan");
  for (const node of root.querySelectorAll("[data-at]")) {
    const wrong = plan.problems.filter(({ field }) => (field === "judges" ? "expected" : field) === node.dataset.at).map(({ message }) => message).join(" ");
    node.textContent = checked ? wrong : "";
  }
  const press = plan.problems.length || !window.kontext.isLarge(plan.spends)
    ? button(plan.seal, seal, { class: "main" }) : twice("seal", plan.seal, `Spend ${plan.price}`, seal, drawPlan);
  press.classList.add("main");
  window.kontext.redraw(box, () => box.replaceChildren(
    h("div", {}, h("p", { role: "status" }, h("b", {}, plan.line)), h("p", {}, plan.buys)),
    h("div", { class: "press" }, press, h("p", { class: "problem", role: "alert" }, said || (checked && plan.problems.length ? "Some things are missing: see above." : "")))));
}

async function seal() {
  const total = draft.plan.total;
  if (saving) await save();
  checked = true;
  if (draft.plan.problems.length || draft.plan.total !== total) { drawPlan(); root.querySelector(".problem:not(:empty)")?.scrollIntoView({ block: "center" }); return; }
  const answer = await act("seal", () => ({ total }));
  if (answer.error) await act("show").then(() => { said = answer.error; drawPlan(); }); // at the price that it has now
  if (answer.code) trigger("spent");
}

// A trial that is sealed.
function drawOpen() {
  const code = kept()[shown.id];
  const link = h("input", { readonly: true, value: code ? judgeLink() : "", "aria-label": "The judges' link", onfocus: ({ target }) => target.select() });
  const qr = h("div", { class: "qr", role: "img", "aria-label": "The judges' link to scan" });
  if (code) ask("qr", () => ({ link: judgeLink() })).then(({ svg }) => { qr.innerHTML = svg || ""; });
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  return [
    h("section", { class: "card", "aria-label": "Invite" }, h("h3", {}, "Invite judges"),
      shown.invites && code ? h("div", { class: "link" }, qr, h("div", {}, h("p", {}, "Send this link to everyone who should judge. It lets them vote, and nothing else."), link,
        local && h("small", {}, "This address works on this computer only. Host the app where your judges can reach it."),
        h("div", { class: "acts" }, button("Copy link", ({ target }) => navigator.clipboard?.writeText(link.value).then(() => { target.textContent = "Copied"; }), { class: "main" }))))
        : h("p", {}, shown.invites ? "The link was shown in the browser that sealed the trial. If it is lost, make a new one." : "The link is closed: nobody new can join. Those who have joined can go on."),
      h("div", { class: "acts" }, shown.invites && button("Close the link", () => act("uninvite")),
        twice("invite", "Make a new link", "The old link stops working. Make a new one?", () => act("invite"), draw))),
    h("section", { class: "card", "aria-label": "Votes" }, h("h3", {}, "Votes"), h("p", { role: "status" }, shown.votes),
      h("ul", { class: "judges" }, shown.judges.map((judge) => h("li", {}, h("span", {}, judge.name), h("span", {}, `${judge.votes} of ${judge.ballots}`),
        twice(`remove ${judge.number}`, "Remove", `Leave out ${judge.votes === 1 ? "this vote" : `these ${judge.votes} votes`}?`, () => act("remove", () => ({ judge: judge.number })), draw)))),
      shown.closes_at && h("p", {}, shown.late ? "The closing date passed before all pictures were made. Close the trial by hand."
        : `Closes on ${new Date(shown.closes_at).toLocaleString()}.`),
      h("div", { class: "acts" },
        twice("close", "Close the trial", "No more votes, for good. Close it?", () => act("close"), draw),
        shown.looked ? button("Look at results again", () => act("look")) : twice("look", "Look at results now", "The report will say that you looked, and a winner is harder to name. Look?", () => act("look"), draw))),
    early && drawReport(early),
  ];
}

const usd = (dollars) => `$${dollars.toFixed(3).replace(/0$/, "")}`;
const hundred = (share) => Math.round(100 * share);
function drawReport(report) {
  const cell = (told, low, high) => h("td", {}, told, h("small", {}, `${low} to ${high}`));
  const range = (row, name) => cell(`${hundred(row[`${name}_share`])} in 100`, hundred(row[`${name}_low`]), hundred(row[`${name}_high`]));
  const [, verdict, rest] = /^(.*?\.)(?: (.*))?$/s.exec(report.verdict.words);
  return h("section", { class: "card report", "aria-label": "Verdict" }, h("h3", {}, "Verdict"),
    h("p", { class: "verdict" }, verdict), h("p", {}, rest || ""),
    h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, ["Variant", "Preferred", "Usable", "Per usable picture"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, report.variants.map((row) => h("tr", {}, h("th", { scope: "row" }, row.name), range(row, "preferred"), range(row, "usable"),
        row.usd_per_usable === null ? h("td", {}, "none usable") : cell(usd(row.usd_per_usable), usd(row.usd_per_usable_low), usd(row.usd_per_usable_high))))))),
    h("ul", {}, report.agreement.words.map((line) => h("li", {}, line))));
}

function drawClosed() {
  const file = async (kind, use) => { const answer = await ask("file", () => ({ kind })); if (answer.file) use(answer.file); else take(answer); };
  const save = (kind, label) => button(label, () => file(kind, (made) => window.kontext.take(made)));
  // As high as what is in it, which is why this page may look inside; no script runs there.
  const frame = h("iframe", { sandbox: "allow-same-origin", title: "The report", hidden: true });
  const fit = () => { if (frame.contentDocument?.body) frame.style.height = `${frame.contentDocument.body.offsetHeight}px`; };
  frame.onload = () => new ResizeObserver(fit).observe(frame);
  const whole = (event) => file("report", async (made) => { frame.srcdoc = await (await fetch(made.url)).text(); frame.hidden = false; event.target.hidden = true; });
  return [
    drawReport(shown.report),
    h("div", { class: "acts" }, button("Show the whole report", whole), save("report", "Download report"), save("votes", "Download votes (CSV)"), save("json", "Download everything (JSON)")),
    frame,
  ];
}

function drawMaking() {
  const [done, cells] = shown.making.match(/\d+/g) || [0, 1];
  return h("section", { class: "card", "aria-label": "Progress" }, h("p", { role: "status" }, shown.making),
    !shown.waits && [h("progress", { max: cells, value: done, "aria-label": "Pictures made" }), h("p", {}, "You can close this page: it goes on by itself. When all are made, judges can vote.")]);
}

function draw() {
  clearTimeout(polling);
  if (!shown) return;
  const { state } = shown, made = { draft: drawDraft, open: drawOpen, closed: drawClosed }[state] || drawMaking;
  window.kontext.redraw(root, () => root.replaceChildren(
    h("nav", { "aria-label": "Back" }, h("a", { href: "#trials" }, "← All trials")),
    h("h2", {}, state === "draft" ? "Set up a trial" : shown.title), state !== "draft" && h("p", { class: "lead" }, shown.question) || "",
    shown.practice && h("p", { class: "practice" }, "Practice mode: no model makes these pictures. Take it as a rehearsal.") || "",
    h("div", { class: "body" }, made()),
    ...shown.withdrawn.map((line) => h("p", { class: "problem" }, `${line} It is left out for all variants.`)),
    state === "draft" ? "" : h("p", { class: "problem", role: "alert" }, said),
    AGAIN[state] && state !== "open" && !shown.waits ? "" : h("div", { class: "acts last" }, twice("delete", "Delete this trial", "Delete it with all pictures and votes?", () => act("delete"), draw))));
  if (state === "draft") drawPlan();
  if (AGAIN[state]) polling = setTimeout(again, pause());
}

const pause = () => (shown.waits ? AGAIN.open : AGAIN[shown.state]);

// Follows a trial that goes on; nothing is drawn anew where it looks the same.
async function again() {
  const id = shown?.id, before = JSON.stringify(shown);
  if (!id || document.hidden || !here()) { polling = setTimeout(again, 3000); return; }
  const answer = await ask("show");
  if (shown?.id !== id) return;
  if (answer.trial && JSON.stringify(answer.trial) !== before) show(answer.trial);
  else polling = setTimeout(again, pause());
}

// The address decides which page is here: the studio, all trials, or one.
const here = () => document.documentElement.classList.contains("kontext-trials");
async function go() {
  const address = location.hash, [, page, id] = /^#(trials)(?:\/([0-9a-f]{32}))?$/.exec(address) || [];
  const back = page && !id && !here() && shown?.state === "draft"; // a case was set up in the studio meanwhile
  document.documentElement.classList.toggle("kontext-trials", Boolean(page));
  if (back) { location.replace(`#trials/${shown.id}`); return; }
  if (!page || (id && shown?.id === id)) return;
  clearTimeout(polling);
  if (saving) await save();
  shown = id ? { id } : null;
  const answer = await ask(id ? "show" : "all");
  if (location.hash !== address) return; // elsewhere by now
  if (answer.trial || answer.trials) take(answer);
  else { said = answer.error || ""; shown = null; drawAll((await ask("all")).trials || []); }
  scrollTo(0, 0);
  root.focus({ preventScroll: true });
}

// From the studio: a run, or a cell, becomes a case of the trial that is chosen.
async function add(run) {
  if (saving) await save();
  const { trials = [] } = await ask("all");
  const to = (trial) => async () => {
    const answer = await ask("add", () => ({ run, trial }));
    window.kontext.show("press", answer.added || answer.error || "It couldn't be added.");
    if (answer.trial) document.getElementById("said").append(" ", h("a", { href: `#trials/${answer.trial.id}` }, "Open the trial"));
    if (answer.trial) show(answer.trial); // this is where “Trials” leads now
  };
  const drafts = trials.filter((trial) => trial.draft).map((trial) => ({ label: trial.title, note: trial.line, act: to(trial.id) }));
  window.kontext.menu("Add to a trial", [...drafts, { label: "New trial", act: to("") }]);
}

for (const kind of ["paste", "drop"]) document.addEventListener(kind, (event) => {
  if (!here() || !(event.clipboardData || event.dataTransfer)?.files.length) return;
  [...root.querySelectorAll("[role=alert]")].at(-1).textContent = "Pictures go into the studio. Set a case up there, then add it here.";
});
window.kontext.trials = { add, history: () => [...document.querySelectorAll("#tabs [role=tab]")].find((tab) => tab.textContent.trim() === "History")?.click() };
addEventListener("hashchange", go);
go();
