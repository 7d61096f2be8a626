"use strict";
// The judges' page. A vote is written down here before it is sent, and forgotten once it is answered: neither a lost
// connection nor a closed tab loses one, and none counts twice.
const API = new URL("judge/api/", location.href.split("#")[0]);
const KEY = "kontext.judge";
const AHEAD = 2; // ballots that are loaded before anything else; the rest follows unless data is to be saved
const FIRST_WAIT = 1, LONGEST_WAIT = 15; // seconds before something is asked again
const HOLD = 350, STILL = 8, SWIPE = 40; // ms; px that a finger may move and still be still; px
const NEAR = 2.5, NEAREST = 8; // times a picture's size
const SECONDS = 25; // for one set

const $ = (id) => document.getElementById(id);
const one = (what) => document.querySelector(what);
const stage = $("stage"), strip = $("strip"), sheet = $("sheet"), remark = $("remark"), form = one("#start form");

function h(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// What this browser keeps: for each code the judge's token, and the votes that are not answered yet. It is read anew
// for each change, since another tab may have written.

let memory = {}; // where nothing can be kept, for as long as the tab is open

function kept() {
  try { return JSON.parse(localStorage.getItem(KEY)) || memory; } catch { return memory; }
}

function keep(change) {
  memory = kept();
  change(memory);
  try { localStorage.setItem(KEY, JSON.stringify(memory)); } catch { /* then in memory alone */ }
}

// The code comes behind the #, which no request carries, and leaves the address bar at once.
const told = location.hash.slice(1);
if (told) keep((all) => { all.last = told; });
history.replaceState(null, "", location.pathname);
const code = told || kept().last || "";
const mine = () => kept()[code];

// asking the server

class Refusal extends Error {
  constructor(status, told) {
    super(told);
    this.status = status;
  }
}

async function fetched(url, body) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${mine()?.token || ""}` };
  const answer = await fetch(url, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers })
    .catch(() => { throw new Refusal(0, "You're offline. Try again in a moment."); });
  if (answer.ok) return answer;
  throw new Refusal(answer.status, (await answer.json().catch(() => ({}))).error || "That didn't work. Try again.");
}

const ask = async (path, body) => (await fetched(new URL(path, API), body)).json();
const picture = (url) => patiently(async () => URL.createObjectURL(await (await fetched(url)).blob()));

// Again and again, for as long as that may help.
async function patiently(task) {
  for (let wait = FIRST_WAIT; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
    try {
      const answer = await task();
      if (wait > FIRST_WAIT) note(false);
      return answer;
    } catch (refusal) {
      if (!(refusal.status < 400 || refusal.status === 429 || refusal.status >= 500)) throw refusal;
      note(refusal.status !== 429);
      await new Promise((resolve) => {
        setTimeout(resolve, 1000 * wait);
        addEventListener("online", resolve, { once: true });
      });
    }
  }
}

function note(offline) {
  const waiting = mine()?.queue.length;
  const votes = waiting === 1 ? "1 vote is" : `${waiting} votes are`;
  $("note").textContent = !offline ? "" : waiting ? `Offline: ${votes} kept here and sent later.` : "Offline. Trying again…";
}

// votes on their way, one after the other

let sending = false;

function queue(path, body) {
  keep((all) => all[code].queue.push({ path, body, key: `${Date.now()} ${Math.random()}` }));
  if ($("note").textContent) note(true);
  send();
}

async function send() {
  if (sending) return;
  sending = true;
  try {
    for (let next; (next = mine().queue[0]);) {
      await patiently(() => ask(next.path, next.body)).catch((refusal) => {
        if (refusal.status === 404) throw refusal; // anything else is wrong with this one alone
      });
      keep((all) => { all[code].queue = all[code].queue.filter(({ key }) => key !== next.key); });
    }
    if (at === total) finished();
  } catch (refusal) {
    over(refusal);
  } finally {
    sending = false;
  }
}

// ballots: each loaded once

const sets = new Map(); // position -> promise of what load() gives
let at = -1, total = 0; // the position of the ballot that is shown, and how many there are

function setAt(position) {
  if (!sets.has(position)) {
    sets.set(position, load(position));
    sets.get(position).catch(() => sets.delete(position));
  }
  return sets.get(position);
}

async function load(position) {
  const ballot = await patiently(() => ask(`ballot?position=${position}`));
  const sources = await Promise.all(ballot.pictures.map(({ url }) => picture(url)));
  const references = Promise.all(ballot.references.map(picture)); // nobody waits for them
  return { ...ballot, sources, references: references.catch(() => []) };
}

async function loadAhead() {
  const last = navigator.connection?.saveData ? Math.min(at + AHEAD, total - 1) : total - 1;
  for (let position = at + 1; position <= last; position = Math.max(position, at) + 1) {
    await (await setAt(position).catch(() => null))?.references;
  }
}

// one ballot

let set = null, choice = null, step = "", using = false, ready = false;
const seen = new Set();
const looking = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) seen.add(entry.target);
  draw();
}, { threshold: 0.5 });

async function show(position) {
  at = position;
  if (at >= total) return finished();
  screen("ballot");
  $("count").textContent = `${at + 1} of ${total}`;
  Object.assign(one("progress"), { max: total, value: at });
  set = null;
  using = ready = false;
  choice = { best: null, worst: null, usable: new Set() };
  remark.value = "";
  seen.clear();
  looking.disconnect();
  strip.replaceChildren();
  stage.replaceChildren();
  toStep("best");
  const loaded = await setAt(position).catch(over);
  if (loaded && at === position) await place(loaded);
}

async function place(loaded) {
  set = loaded;
  const tag = (n) => [h("b", { textContent: n + 1 }), h("span")];
  const figures = set.sources.map((src, n) =>
    h("figure", {}, h("img", { src, alt: `Picture ${n + 1}` }), h("figcaption", {}, ...tag(n))));
  stage.replaceChildren(...figures);
  strip.replaceChildren(...set.sources.map((src, n) =>
    h("button", { type: "button", onclick: () => press(n) }, h("img", { src, alt: "" }), ...tag(n))));
  flip(false);
  await Promise.allSettled(figures.map((figure) => figure.firstChild.decode()));
  ready = true;
  arrange();
  figures.forEach((figure) => looking.observe(figure));
  loadAhead();
}

const two = () => set?.sources.length === 2;
const unlocked = () => ready && seen.size === set.sources.length;
const isOpen = (n) => unlocked() && n < set.sources.length;

function toStep(name) {
  step = name;
  draw();
}

function question() {
  if (!unlocked()) return ready ? "Look at all pictures first" : "Loading the pictures…";
  if (step === "best") return two() ? "Which is better?" : "Which is best?";
  return step === "worst" ? "Which is worst?" : "Which of these would you use?";
}

function draw() {
  if ($("step").textContent !== question()) $("step").textContent = question(); // or a screen reader says it again
  [...strip.children].forEach((button, n) => {
    const kind = n === choice.best ? "best" : n === choice.worst ? "worst" : "";
    const word = { best: two() ? "Better" : "Best", worst: "Worst", "": "" }[kind];
    const use = choice.usable.has(n);
    button.className = use ? "use" : step === "use" ? "" : kind;
    button.lastChild.textContent = use ? "✓ Use" : step === "use" ? "Use" : word;
    button.disabled = !unlocked() || (step === "worst" && n === choice.best);
    button.setAttribute("aria-label", [`Picture ${n + 1}`, word, use && "use"].filter(Boolean).join(", "));
    button.setAttribute("aria-pressed", step === "use" ? use : Boolean(kind));
    stage.children[n].className = n === current ? `${kind} current` : kind;
    stage.children[n].lastChild.lastChild.textContent = use ? `${word} ✓`.trim() : word;
  });
  Object.assign($("next"), { textContent: step === "use" ? "Next" : "No difference", disabled: !unlocked() });
  $("next").classList.toggle("main", step === "use");
  $("back").disabled = step === "best" && !at;
  $("originals").disabled = !set;
  remark.style.visibility = step === "use" ? "" : "hidden";
}

const press = (n) => (step === "use" ? use(n) : name(step, n));

function name(which, n) {
  if (!isOpen(n) || (two() && which === "worst")) return;
  const other = which === "best" ? "worst" : "best";
  if (choice[other] === n) choice[other] = null;
  choice[which] = n;
  toStep(choice.best === null ? "best" : two() || choice.worst !== null ? "use" : "worst");
}

function use(n) {
  if (isOpen(n)) choice.usable.delete(n) || choice.usable.add(n);
  draw();
}

function noDifference() {
  choice.best = choice.worst = null;
  if (unlocked()) toStep("use");
}

function next() {
  if (!unlocked() || step !== "use") return;
  const id = (n) => set.pictures[n]?.id ?? null;
  const { best, worst, usable } = choice;
  const vote = { best: id(best), worst: id(worst), usable: [...usable].map(id), remark: remark.value.trim() };
  queue("vote", { ballot: set.ballot, ...vote });
  show(at + 1);
}

// One step back in this ballot; from its beginning, the vote of the one before is taken back.
async function back() {
  if (step !== "best" && at < total) {
    const again = step === "use" && choice.worst !== null ? "worst" : "best";
    if (again === "best") choice.best = null;
    choice.worst = null;
    return toStep(again);
  }
  const before = at && (await setAt(at - 1).catch(over));
  if (!before) return;
  queue("undo", { ballot: before.ballot });
  show(at - 1);
}

// looking: all at once, one at full width, nearer, or at the originals

let current = 0, view = { scale: 1, x: 0, y: 0 };
const full = () => stage.classList.contains("full");

// In as many columns as show the pictures largest.
function arrange() {
  if (!set) return;
  const count = full() ? 1 : set.sources.length, gap = parseFloat(getComputedStyle(stage).gap);
  const { naturalWidth, naturalHeight } = stage.querySelector("img"), shape = naturalWidth / naturalHeight || 1;
  const grids = [1, 2, 3, 4].slice(0, count).map((columns) => {
    const rows = Math.ceil(count / columns);
    const high = (stage.clientHeight - gap * (rows - 1)) / rows;
    return { columns, rows, wide: Math.min((stage.clientWidth - gap * (columns - 1)) / columns, high * shape) };
  });
  const { columns, rows, wide } = grids.reduce((best, grid) => (grid.wide > best.wide ? grid : best));
  stage.style.gridTemplate = `repeat(${rows}, ${wide / shape}px) / repeat(${columns}, ${wide}px)`;
}

// What lies under the spot stays there, in all pictures; spots are counted from the middle of one.
function zoom(scale, { x, y } = { x: 0, y: 0 }) {
  const to = Math.min(NEAREST, Math.max(1, scale)), by = to / view.scale;
  view = to === 1 ? { scale: 1, x: 0, y: 0 } : { scale: to, x: x - (x - view.x) * by, y: y - (y - view.y) * by };
  for (const [name, value] of Object.entries(view)) stage.style.setProperty(`--${name}`, value);
  stage.classList.toggle("near", to > 1);
}

function flip(on, to = 0) {
  current = on ? (to + set.sources.length) % set.sources.length : 0;
  stage.classList.toggle("full", on);
  zoom(1);
  arrange();
  draw();
}

async function peek() {
  const sources = await set.references;
  if (holding) stage.append(h("div", { id: "peek" }, ...sources.map((src) => h("img", { src, alt: "" }))));
}

async function openSheet() {
  sheet.querySelector(".prompt").textContent = set.prompt;
  sheet.querySelector(".references").replaceChildren();
  sheet.showModal();
  const images = (await set.references).map((src, n) => h("img", { src, alt: `Original ${n + 1}` }));
  sheet.querySelector(".references").replaceChildren(...images);
}

const fingers = new Map(); // pointer id -> its last event
let began = null, holding = false, timer = 0;

function spot({ clientX, clientY }, figure) {
  const { x, y, width, height } = figure.getBoundingClientRect();
  return { x: clientX - x - width / 2, y: clientY - y - height / 2 };
}

const distance = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);

stage.addEventListener("pointerdown", (event) => {
  const figure = event.target.closest("figure");
  if (!figure || event.button) return;
  fingers.set(event.pointerId, event);
  const apart = fingers.size > 1 && distance(...fingers.values());
  began = { event, figure, apart, scale: view.scale, moved: apart };
  clearTimeout(timer);
  if (!apart) timer = setTimeout(() => { holding = true; peek(); }, HOLD);
});

addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before || holding) return;
  fingers.set(event.pointerId, event);
  if (distance(event, began.event) > STILL) began.moved = true;
  if (began.moved) clearTimeout(timer);
  if (fingers.size > 1) zoom((began.scale * distance(...fingers.values())) / began.apart, spot(began.event, began.figure));
  else if (view.scale > 1) {
    view = { ...view, x: view.x + event.clientX - before.clientX, y: view.y + event.clientY - before.clientY };
    zoom(view.scale);
  }
});

for (const end of ["pointerup", "pointercancel"]) addEventListener(end, (event) => {
  if (!fingers.delete(event.pointerId)) return;
  clearTimeout(timer);
  $("peek")?.remove();
  const held = holding, far = event.clientX - began.event.clientX;
  holding = false;
  if (held || end === "pointercancel" || began.apart) return;
  if (!began.moved) tap(event);
  else if (full() && view.scale === 1 && Math.abs(far) > SWIPE) flip(true, current - Math.sign(far));
});

// A finger has the picture at full width; a mouse has all of them nearer, where it points.
function tap(event) {
  if (event.pointerType === "mouse") zoom(view.scale > 1 ? 1 : NEAR, spot(event, began.figure));
  else flip(!full(), [...stage.children].indexOf(began.figure));
}

stage.addEventListener("contextmenu", (event) => event.preventDefault());
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(view.scale * 1.0015 ** -event.deltaY, spot(event, event.target.closest("figure") || stage));
}, { passive: false });
new ResizeObserver(arrange).observe(stage);

// keys

const KEYS = {
  b: back,
  o: openSheet,
  u: () => { using = !using; },
  z: () => zoom(view.scale > 1 ? 1 : NEAR),
  enter: next,
  escape: () => flip(false),
  arrowright: () => flip(true, full() ? current + 1 : 0),
  arrowleft: () => flip(true, current - 1),
};

addEventListener("keydown", (event) => {
  const busy = event.target.closest("input, dialog") || (event.key === "Enter" && event.target.closest("button"));
  if (!set || $("ballot").hidden || busy || event.ctrlKey || event.metaKey || event.altKey) return;
  const digit = /^(?:Digit|Numpad)([0-4])$/.exec(event.code)?.[1], key = event.key.toLowerCase();
  if (digit || KEYS[key]) event.preventDefault();
  if (!digit && key !== "shift" && key !== "u") using = false;
  if (digit === "0") noDifference();
  else if (digit) (using ? use : name.bind(null, event.shiftKey ? "worst" : "best"))(digit - 1);
  else KEYS[key]?.();
});

$("back").onclick = back;
$("originals").onclick = openSheet;
$("next").onclick = () => (step === "use" ? next() : noDifference());
remark.addEventListener("keydown", (event) => event.key === "Enter" && next());

// what else can be on the screen

function screen(name) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== name;
}

function say(title, words, canGoBack = false) {
  screen("message");
  one("#message h1").textContent = title;
  one("#message p").textContent = words;
  Object.assign(one("#message button"), { hidden: !canGoBack, onclick: back });
}

function finished() {
  if (mine().queue.length) say("Sending your last votes…", "Keep this page open.", true);
  else say("Thank you!", `All ${total} sets are judged. You can close this page.`, true);
}

// The server no longer knows the judge: voting has closed, and what it had not answered by then does not count.
function over(refusal) {
  if (refusal.status !== 404) throw refusal;
  keep((all) => { delete all[code]; });
  say("Voting has closed", "The votes you sent before count. Thank you!");
}

function offer(trial) {
  total = trial.total;
  document.title = one("#start h1").textContent = trial.title;
  one("#start .question").textContent = trial.question;
  one("#start .size").textContent = `${total} sets, about ${Math.ceil((total * SECONDS) / 60)} minutes`;
  screen("start");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const alert = one("#start [role=alert]"), button = one("#start button");
  button.disabled = true;
  alert.textContent = "";
  try {
    const joined = await ask("join", { code, name: form.elements.name.value, named: form.elements.named.checked });
    keep((all) => { all[code] = { ...joined, queue: [] }; });
    await go();
  } catch (refusal) {
    alert.textContent = refusal.message;
    button.disabled = false;
  }
});

// On where this browser was.
async function go() {
  total = mine().total;
  document.title = mine().title;
  one("#ballot h1").textContent = mine().question;
  await send();
  await show((await patiently(() => ask("ballot"))).done);
}

(mine() ? go() : patiently(() => ask("trial", { code })).then(offer)).catch((refusal) => {
  if (mine()) over(refusal);
  else say("This link isn't open", "It may be incomplete, or voting has closed. Ask whoever sent it to you.");
});
