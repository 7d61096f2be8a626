"use strict";
// The judges' page. A vote is written down here before it is sent, and forgotten once it is answered: neither a lost
// connection nor a closed tab loses one, and none counts twice.
const API = new URL("judge/api/", location.href.split("#")[0]);
const KEY = "kontext.judge";
const AHEAD = 2; // ballots that are loaded before they are needed; all, unless data is to be saved
const FIRST_WAIT = 1, LONGEST_WAIT = 15; // seconds before something is asked again
const DEAD = 45; // seconds without an end after which a line is taken for dead: a ballot takes as many at 100 kbit/s
const SETTLE = 300; // ms in which a second tap of an impatient thumb presses nothing where a button means something new
const HOLD = 350, STILL = 8, SWIPE = 40; // ms; px that a finger may move and still be still; px
const NEAR = 2.5, NEAREST = 8; // times a picture's size
const SECONDS = 25; // for one set

const $ = (id) => document.getElementById(id);
const stage = $("stage"), strip = $("strip"), sheet = $("sheet"), remark = $("remark"), form = $("join");

function h(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// What this browser keeps: for each code the judge's token, and the votes that are not answered yet. It is read anew
// for each change, since another tab may have written.
let memory = {}; // where nothing can be kept, for as long as the tab is open
const kept = () => { try { return JSON.parse(localStorage.getItem(KEY)) || memory; } catch { return memory; } };
function keep(change) {
  change(memory = kept());
  try { localStorage.setItem(KEY, JSON.stringify(memory)); } catch { /* in memory alone */ }
}

// The code comes behind the #, which no request carries, and leaves the address bar at once.
const told = location.hash.slice(1);
if (told) keep((all) => { all.last = told; });
history.replaceState(null, "", location.pathname);
addEventListener("hashchange", () => location.reload()); // another link, opened where this page is
const code = told || kept().last || "";
const mine = () => kept()[code];

const random = (bytes) => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(bytes))))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// asking the server
const refusal = (status, sentence) => Object.assign(new Error(sentence), { status });

async function fetched(url, body) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${mine()?.token || ""}` };
  const request = { headers, signal: AbortSignal.timeout(1000 * DEAD) };
  const answer = await fetch(url, body ? { ...request, method: "POST", body: JSON.stringify(body) } : request)
    .catch(() => { throw refusal(0, "You're offline. Try again in a moment."); });
  if (answer.ok) return answer;
  throw refusal(answer.status, (await answer.json().catch(() => ({}))).error || "That didn't work. Try again.");
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
    } catch ({ status, message }) {
      if (status !== 429 && status >= 400 && status < 500) throw refusal(status, message);
      note(status !== 429);
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
      await patiently(() => ask(next.path, next.body)).catch((refused) => {
        if (refused.status === 404) throw refused; // anything else is wrong with this one alone
      });
      keep((all) => { all[code].queue = all[code].queue.filter(({ key }) => key !== next.key); });
    }
  } catch (refused) {
    over(refused);
  } finally {
    sending = false;
  }
  if (at === total && mine()) finished();
}

// ballots: each loaded once
const sets = new Map(); // position -> promise of what load() gives
let at = -1, total = 0; // the position of the ballot that is shown, and how many there are
let mending = false; // whether ballots behind this one have their votes already

const setAt = (position) => sets.get(position) || sets.set(position, load(position)).get(position);

async function load(position, known) {
  const ballot = known || await patiently(() => ask(`ballot?position=${position}`));
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
let settling = 0; // the timer of a button that means something new
const seen = new Set();
const looking = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) seen.add(target);
  draw();
}, { threshold: 0.5 });

async function show(position) {
  at = position;
  if (at >= total) return finished();
  screen("ballot");
  $("count").textContent = `${at + 1} of ${total}`;
  Object.assign($("progress"), { max: total, value: at });
  set = null;
  using = ready = false;
  choice = { best: null, worst: null, usable: new Set() };
  remark.value = "";
  seen.clear();
  looking.disconnect();
  strip.replaceChildren();
  stage.replaceChildren();
  draw("best");
  const loaded = await setAt(position).catch(over);
  if (loaded && at === position) await place(loaded);
}

async function place(loaded) {
  set = loaded;
  const label = (n) => [h("b", { textContent: n + 1 }), h("span")];
  stage.replaceChildren(...set.sources.map((src, n) =>
    h("figure", {}, h("img", { src, alt: `Picture ${n + 1}` }), h("figcaption", {}, ...label(n)))));
  strip.replaceChildren(...set.sources.map((src, n) =>
    h("button", { type: "button", onclick: () => press(n) }, h("img", { src, alt: "" }), ...label(n))));
  flip(false);
  await Promise.allSettled([...stage.children].map((figure) => figure.firstChild.decode()));
  ready = true;
  arrange();
  for (const figure of stage.children) looking.observe(figure);
  loadAhead();
}

const two = () => set?.sources.length === 2;
const unlocked = () => ready && seen.size === set.sources.length;
const isOpen = (n) => unlocked() && n < set.sources.length;

function question() {
  if (!unlocked()) return ready ? "Look at all pictures first" : "Loading the pictures…";
  if (step === "best") return two() ? "Which is better?" : "Which is best?";
  return step === "worst" ? "Which is worst?" : "Which of these would you use?";
}

function draw(to = step) {
  step = to;
  if ($("step").textContent !== question()) $("step").textContent = question(); // or a screen reader says it again
  const last = step === "use";
  [...strip.children].forEach((button, n) => {
    const kind = n === choice.best ? "best" : n === choice.worst ? "worst" : "", use = choice.usable.has(n);
    const word = kind === "best" && two() ? "Better" : { best: "Best", worst: "Worst", "": "" }[kind];
    button.className = use ? "use" : last ? "" : kind;
    button.lastChild.textContent = use ? "✓ Use" : last ? "Use" : word;
    button.disabled = !unlocked() || (step === "worst" && n === choice.best);
    button.ariaLabel = [`Picture ${n + 1}`, word, use && "use"].filter(Boolean).join(", ");
    button.ariaPressed = last ? use : Boolean(kind);
    stage.children[n].className = n === current ? `${kind} current` : kind;
    stage.children[n].lastChild.lastChild.textContent = use ? `${word} ✓` : word;
  });
  const label = last ? "Next" : "No difference";
  if ($("next").textContent !== label) {
    clearTimeout(settling);
    settling = setTimeout(() => { settling = 0; draw(); }, SETTLE);
  }
  Object.assign($("next"), { textContent: label, disabled: !unlocked() || settling > 0 });
  $("next").classList.toggle("settling", unlocked());
  $("next").classList.toggle("main", last);
  $("back").disabled = step === "best" && !at;
  $("originals").disabled = !set;
  remark.style.visibility = last ? "" : "hidden";
}

const press = (n) => (step === "use" ? use(n) : name(step, n));

function name(which, n) {
  if (!isOpen(n) || (two() && which === "worst")) return;
  const other = which === "best" ? "worst" : "best";
  if (choice[other] === n) choice[other] = null;
  choice[which] = n;
  draw(choice.best === null ? "best" : two() || choice.worst !== null ? "use" : "worst");
}

function use(n) {
  if (isOpen(n)) choice.usable.delete(n) || choice.usable.add(n);
  draw();
}

function noDifference() {
  if (!unlocked()) return;
  choice.best = choice.worst = null;
  draw("use");
}

function next() {
  if (!unlocked() || step !== "use") return;
  const id = (n) => set.pictures[n]?.id ?? null, { best, worst, usable } = choice;
  const vote = { best: id(best), worst: id(worst), usable: [...usable].map(id), remark: remark.value.trim() };
  queue("vote", { ballot: set.ballot, turn: set.turn, ...vote });
  show(mending ? total : at + 1);
}

// One step back in this ballot; from its beginning, the vote of the one before is taken back. Each time a ballot is in
// its next turn, and what comes late of an earlier one counts no more.
async function back() {
  if (step !== "best" && at < total) {
    const again = step === "use" && choice.worst !== null ? "worst" : "best";
    if (again === "best") choice.best = null;
    choice.worst = null;
    return draw(again);
  }
  const before = at && (await setAt(at - 1).catch(over));
  if (!before) return;
  queue("undo", { ballot: before.ballot, turn: before.turn++ });
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
    const rows = Math.ceil(count / columns), high = (stage.clientHeight - gap * (rows - 1)) / rows;
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

const originals = async () => (await set.references).map((src, n) => h("img", { src, alt: `Original ${n + 1}` }));

async function openSheet() {
  $("prompt").textContent = set.prompt;
  $("references").replaceChildren();
  sheet.showModal();
  $("references").replaceChildren(...await originals());
}

const fingers = new Map(); // pointer id -> its last event
let began = null, holding = false, timer = 0;
const distance = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);

function spot({ clientX, clientY }, element) {
  const { x, y, width, height } = element.getBoundingClientRect();
  return { x: clientX - x - width / 2, y: clientY - y - height / 2 };
}

async function hold() {
  holding = true;
  const images = await originals();
  if (holding) stage.append(h("div", { id: "peek" }, ...images));
}

stage.addEventListener("pointerdown", (event) => {
  const figure = event.target.closest("figure");
  if (!figure || event.button) return;
  const apart = fingers.set(event.pointerId, event).size > 1 && distance(...fingers.values());
  began = { event, figure, apart, scale: view.scale, moved: apart };
  clearTimeout(timer);
  if (!apart) timer = setTimeout(hold, HOLD);
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

// A tap of a finger has the picture at full width; a click of a mouse has all of them nearer, where it points.
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, (event) => {
  if (!fingers.delete(event.pointerId)) return;
  clearTimeout(timer);
  $("peek")?.remove();
  const held = holding, far = event.clientX - began.event.clientX;
  holding = false;
  if (held || end === "pointercancel" || began.apart) return;
  if (began.moved) {
    if (full() && view.scale === 1 && Math.abs(far) > SWIPE) flip(true, current - Math.sign(far));
  } else if (event.pointerType === "mouse") zoom(view.scale > 1 ? 1 : NEAR, spot(event, began.figure));
  else flip(!full(), [...stage.children].indexOf(began.figure));
});

stage.addEventListener("contextmenu", (event) => event.preventDefault());
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(view.scale * 1.0015 ** -event.deltaY, spot(event, event.target.closest("figure") || stage));
}, { passive: false });
new ResizeObserver(arrange).observe(stage);

// keys and buttons
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
  else if (!digit) KEYS[key]?.();
  else if (using) use(digit - 1);
  else name(event.shiftKey ? "worst" : "best", digit - 1);
});

remark.addEventListener("keydown", (event) => event.key === "Enter" && next());
$("back").onclick = $("again").onclick = back;
$("originals").onclick = openSheet;
$("next").onclick = () => (step === "use" ? next() : noDifference());

// what else can be on the screen
function screen(name) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== name;
}

function say(title, words) {
  screen("message");
  [$("heading").textContent, $("words").textContent] = [title, words];
  $("again").hidden = at < total || !mine(); // a judge who has done all may think again
}

// Once all votes are answered the server says whether none is missing: another tab may have taken one back.
async function finished() {
  say("Sending your last votes…", "Keep this page open.");
  if (mine().queue.length) return;
  const first = await patiently(() => ask("ballot")).catch(over);
  if (!first || at < total || mine().queue.length) return; // the judge has gone back meanwhile
  if (first.ballot) showFirst(first);
  else say("Thank you!", `${total === 1 ? "The only set is" : `All ${total} sets are`} judged. You can close this page.`);
}

function showFirst(first) {
  mending = first.done > first.position;
  sets.set(first.position, load(first.position, first));
  return show(first.position);
}

// The server no longer knows the judge: voting has closed, and what it had not answered by then does not count.
function over(refused) {
  if (refused.status !== 404) throw refused;
  keep((all) => { delete all[code]; });
  say("Voting has closed", "Votes that came in time count. Thank you!");
}

const counted = (many, what) => `${many} ${what}${many === 1 ? "" : "s"}`;

function offer(trial) {
  document.title = $("title").textContent = trial.title;
  $("asked").textContent = trial.question;
  $("size").textContent = `${counted(trial.total, "set")}, about ${counted(Math.ceil((trial.total * SECONDS) / 60), "minute")}`;
  screen("start");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, named, start } = form.elements;
  start.disabled = true;
  $("alert").textContent = "";
  try {
    // Another tab may have joined. Where no answer comes, the next press is the same judge's, by the same token.
    keep((all) => { if (all.joining?.code !== code) all.joining = { code, token: random(32) }; });
    const join = { ...kept().joining, name: name.value, named: named.checked };
    const joined = mine() || await ask("join", join);
    keep((all) => { all[code] ||= { ...joined, queue: [] }; });
    await go();
  } catch (refused) {
    $("alert").textContent = refused.message;
    start.disabled = false;
  }
});

// On where this browser was.
async function go() {
  total = mine().total;
  document.title = mine().title;
  $("question").textContent = mine().question;
  await send();
  const first = await patiently(() => ask("ballot"));
  await (first.ballot ? showFirst(first) : show(total));
}

(mine() ? go() : patiently(() => ask("trial", { code })).then(offer)).catch((refused) => {
  if (mine()) over(refused);
  else say("This link isn't open", "It may be incomplete, or voting has closed. Ask whoever sent it to you.");
});
