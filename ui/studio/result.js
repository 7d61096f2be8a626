// Shows one run: where it stands, its pictures, its receipt, what went wrong. It only watches; seconds tick here.
const { h } = window.kontext;
const root = element.querySelector(".result");
let clock = null;
let shownAt = 0;
let lastRun = null; // as it was shown last
let recipes = true; // whether a download carries its recipe
let checking = null; // asks after the runs that go on unseen
const strip = new Map(); // this session's runs by id: {id, thumb, going, said}
const NAME = "Kontext Studio";
const CHECK_EVERY = 3000; // ms
const BILL_EVERY = 10_000;
const BILL_WITHIN = 300_000; // ms that the result is shown; a later bill is there when the run is opened again

const seconds = (value) => `${value.toFixed(1)} s`;

function progressText(run) {
  const gone = run.seconds + (performance.now() - shownAt) / 1000;
  const usual = run.expected_seconds;
  if (usual && gone > 1.5 * usual) return `Taking longer than usual · ${Math.round(gone)} s`;
  return usual ? `${seconds(gone)} of about ${Math.round(usual)} s` : seconds(gone);
}

function tick() {
  const run = props.value;
  const time = root.querySelector(".time");
  if (!run || run.finished || !time) return;
  time.textContent = progressText(run);
  const bar = root.querySelector(".bar span");
  const usual = run.expected_seconds || 20;
  const gone = run.seconds + (performance.now() - shownAt) / 1000;
  // Never quite full before it is: past the usual time it only creeps.
  bar.style.width = `${100 * (1 - Math.exp((-1.6 * gone) / usual))}%`;
}

function stages(run) {
  const steps = run.stages.map((stage) =>
    h("li", { class: stage.state, "aria-current": stage.state === "now" ? "step" : null },
      stage.name, stage.state === "done" ? " ✓" : "", stage.state === "now" ? h("span", { class: "time" }, progressText(run)) : null));
  return h("div", { class: "progress" },
    h("ol", { class: "stages", "aria-label": "Progress" }, steps),
    h("div", { class: "bar", "aria-hidden": "true" }, h("span", {})),
    run.notice && h("p", { class: "notice", role: "status" }, run.notice),
    h("button", { type: "button", class: "quiet", onclick: () => trigger("stop", { run: run.id }) }, "Stop waiting"),
    notifyMe());
}

const use = (run, entry) => trigger("use", { run: run.id, number: entry.number });
const download = (entry) => (recipes && entry.with_recipe ? entry.with_recipe : entry.image).url;
const openRun = (id) => trigger("open", { run: id });

function look(run, index) {
  const pictures = run.pictures.map((entry) => ({
    url: entry.image.url, alt: entry.alt, name: entry.name, note: entry.seed === null ? "" : `seed ${entry.seed}`,
    actions: [["Download", download(entry)], ["Use as reference", (dialog) => { dialog.close(); use(run, entry); }]],
  }));
  const references = run.references.map((entry) => ({ url: entry.image.url, alt: entry.label, label: entry.label }));
  window.kontext.lightbox(pictures, index, references);
}

async function pngOf(url) {
  const bitmap = await createImageBitmap(await (await fetch(url)).blob());
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return new Promise((done) => { canvas.toBlob(done, "image/png"); });
}

function copyPicture(event, entry) {
  const button = event.target;
  navigator.clipboard.write([new ClipboardItem({ "image/png": pngOf(entry.image.url) })])
    .then(() => { button.textContent = "Copied"; }, () => { button.textContent = "Couldn't copy"; });
}

async function share(entry) {
  const blob = await (await fetch(download(entry))).blob();
  const files = [new File([blob], entry.name, { type: blob.type })];
  if (navigator.canShare({ files })) await navigator.share({ files }).catch(() => {}); // closed without sharing
}

function picture(run, entry, index) {
  const shared = navigator.share && matchMedia("(pointer: coarse)").matches;
  const drag = (event) => {
    event.dataTransfer.setData("application/x-kontext-picture", entry.name);
    window.kontext.dropped = () => use(run, entry);
  };
  return h("figure", {},
    h("button", { type: "button", class: "open", "aria-haspopup": "dialog", "aria-label": `Picture ${index + 1} of ${run.pictures.length}: open at full size`, onclick: () => look(run, index) },
      h("img", { src: entry.image.url, alt: entry.alt, width: entry.width, height: entry.height, draggable: "true", ondragstart: drag })),
    h("figcaption", {},
      entry.seed === null || run.one_seed ? null : h("span", { class: "seed" }, `seed ${entry.seed}`),
      h("button", { type: "button", onclick: () => use(run, entry) }, "Use as reference"),
      h("a", { href: download(entry), download: entry.name, class: "button" }, "Download"),
      run.with.length > 0 && h("button", { type: "button", "aria-haspopup": "dialog", onclick: () => window.kontext.menu("Make it with", withOthers(run, entry).map((offer) => ({ ...offer, group: "" }))) }, "Make it with …"),
      shared ? h("button", { type: "button", onclick: () => share(entry) }, "Share")
        : window.ClipboardItem && h("button", { type: "button", onclick: (event) => copyPicture(event, entry) }, "Copy picture")));
}

// What a run was made of, folded: an old run explains itself.
function made(run) {
  const references = run.references.map((entry, at) => h("li", {},
    h("img", { src: entry.image.url, alt: "", loading: "lazy" }), h("span", {}, `${at + 1}. ${entry.role || "No role"}`)));
  const rows = Object.entries(run.made).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
  return h("details", { class: "made" }, h("summary", {}, "How this was made"),
    references.length > 0 && h("ol", { class: "sources", "aria-label": "References" }, references),
    h("dl", {}, rows));
}

function drawStrip() {
  if (strip.size < 2) return null;
  const runs = [...strip.values()].reverse();
  return h("nav", { class: "strip", "aria-label": "Recent" }, h("h3", {}, "Recent"),
    h("div", {}, runs.map((entry) => h("button", {
      type: "button", "aria-label": entry.said, title: entry.said, "aria-current": entry.id === lastRun?.id ? "true" : null, onclick: () => openRun(entry.id),
    }, entry.thumb ? h("img", { src: entry.thumb, alt: "" }) : h("span", { class: entry.going ? "spinner" : "none" }, entry.going ? "" : "!")))));
}

function remember(run) {
  if (!run.id) return;
  const said = !run.finished ? "In progress" : run.cells ? "Comparison" : run.pictures.length ? counted(run) : "Not made";
  const thumb = run.cells ? run.thumbs[0]?.url : run.pictures[0]?.image.url;
  strip.set(run.id, { id: run.id, thumb, going: !run.finished, said: `${said}: ${(run.prompt || run.made.Prompt || "").slice(0, 60)}` });
}

// The runs that go on while another is shown, and the one shown while its bill is out: asked after now and then.
function check() {
  clearTimeout(checking);
  const unseen = [...strip.values()].filter((entry) => entry.going && entry.id !== lastRun?.id).map((entry) => entry.id);
  const unbilled = lastRun?.finished && lastRun.unbilled && performance.now() - shownAt < BILL_WITHIN ? [lastRun.id] : [];
  const runs = [...unseen, ...unbilled];
  if (runs.length) checking = setTimeout(() => { trigger("check", { runs }); check(); }, unseen.length ? CHECK_EVERY : BILL_EVERY);
}

function billed(told) {
  if (!told || !(told.unbilled < lastRun.unbilled)) return;
  if (lastRun.cells) openRun(lastRun.id);
  else {
    Object.assign(lastRun, { receipt: told.receipt, unbilled: false });
    root.querySelector(".receipt p").replaceChildren(...costs(lastRun));
  }
  trigger("billed");
}

function checked() {
  for (const entry of props.strip || []) if (strip.has(entry.id)) strip.set(entry.id, entry);
  billed((props.strip || []).find((entry) => entry.id === lastRun?.id));
  const nav = root.querySelector(".strip");
  if (nav) window.kontext.redraw(nav, () => nav.replaceChildren(...drawStrip().childNodes));
}

const picturesOf = (run) => (run.cells || [run]).flatMap((cell) => cell.pictures);
const counted = (run) => { const count = picturesOf(run).length; return `${count} ${count === 1 ? "picture" : "pictures"}`; };

// A comparison may be open in several tabs: where one makes a cell again, the others follow.
const tabs = new BroadcastChannel("kontext-cells");
const idsOf = (run) => run.cells.map((cell) => cell.id);
const tellsMore = ({ cells }) => cells.some(({ id }) => !idsOf(lastRun).includes(id));
tabs.onmessage = ({ data }) => {
  if (lastRun?.cells && lastRun.id === data.id && data.cells.some((id) => !idsOf(lastRun).includes(id))) openRun(data.id);
};

// The end of a run is said to whoever does not look: by the page's title, to a screen reader, as a notification.
function announce(run) {
  const some = picturesOf(run).length > 0;
  const failed = (run.cells || []).filter((cell) => !cell.pictures.length).length;
  const words = some ? `✓ ${counted(run)}` : "✗ No picture";
  const missed = failed ? ` ${failed} couldn't be made.` : "";
  root.parentElement.querySelector(".live").textContent = some ? `Done. ${counted(run)}.${missed}` : `No picture. ${run.troubles?.[0]?.happened || ""}`;
  document.title = `${words} · ${NAME}`;
  const back = () => { if (!document.hidden) document.title = NAME; };
  addEventListener("pointerdown", back, { once: true });
  addEventListener("keydown", back, { once: true });
  if (document.hidden && window.Notification?.permission === "granted") new Notification(words, { body: (run.prompt || run.made.Prompt)?.slice(0, 100) });
}

function notifyMe() {
  if (window.Notification?.permission !== "default") return null;
  return h("button", { type: "button", class: "quiet", onclick: (event) => { const button = event.target; Notification.requestPermission().then(() => button.remove()); } }, "Notify me when it's done");
}

function placeholders(run) {
  return Array.from({ length: run.awaited }, () => h("figure", { class: "awaited" }, h("div", { style: `aspect-ratio:${run.shape}` })));
}

function trouble(entry) {
  return h("div", { class: "trouble", role: "alert" },
    h("p", { class: "happened" }, entry.happened),
    h("dl", {},
      h("dt", {}, "Charged"), h("dd", {}, entry.charged),
      entry.advice && h("dt", {}, "What to do"), entry.advice && h("dd", {}, entry.advice),
      entry.prediction_ids.length > 0 && h("dt", {}, entry.prediction_ids.length > 1 ? "Predictions" : "Prediction"),
      entry.prediction_ids.map((id) => h("dd", {}, h("code", {}, id), " ",
        h("button", { type: "button", class: "quiet", "aria-label": `Copy ${id}`, onclick: (event) => copy(event, id) }, "Copy")))));
}

function copy(event, text) {
  navigator.clipboard?.writeText(text).then(() => { event.target.textContent = "Copied"; });
}

function recipeSwitch() {
  const box = h("input", { type: "checkbox", onchange: (event) => { recipes = event.target.checked; draw(); } });
  box.checked = recipes;
  return h("label", { class: "recipes", title: "Drop such a file into this page and its settings come back. Off: the file exactly as the service sent it." },
    box, "Save settings in the file");
}

const costs = (run) => run.receipt.map((part) => h("span", {}, part));

const againButton = (run) => window.kontext.spender("Run again", run.again, (beside) => trigger("again", { run: run.id, beside }));

function receipt(run) {
  return h("div", { class: "receipt" },
    h("p", {}, costs(run)),
    run.pictures.length > 0 && recipeSwitch(),
    run.resume && h("button", { type: "button", onclick: () => trigger("resume", { run: run.id }) }, run.resume),
    run.pictures.length > 0 && h("button", { type: "button", onclick: () => window.kontext.trials.add(run.id) }, "Add to a trial"),
    run.again && againButton(run));
}

function welcome() {
  return h("div", { class: "welcome" },
    h("h2", {}, "Your pictures appear here"),
    h("ol", {},
      h("li", {}, h("b", {}, "Add references. "), "Up to five pictures: a person, an outfit, a place, a style."),
      h("li", {}, h("b", {}, "Describe the picture you want. "), "Choose a preset, or write it in your own words."),
      h("li", {}, h("b", {}, "Check the price, then Generate. "), "Nothing is spent before that.")),
    h("p", { class: "or" }, "Or start from a ready example:"),
    h("div", { class: "examples" }, props.examples.map((example) =>
      h("button", { type: "button", onclick: () => trigger("example", { example: example.id }) },
        h("span", { class: "thumbs" }, example.pictures.map((source) => h("img", { src: source, alt: "" }))),
        h("span", {}, h("b", {}, example.name), h("small", {}, example.variant))))));
}

function draw() {
  const run = read(props.value);
  shownAt = performance.now();
  clearInterval(clock);
  root.setAttribute("aria-busy", String(Boolean(run && !run.finished)));
  if (!run) { root.replaceChildren(welcome()); return; }
  if (run.unsent) window.kontext.refused(run.rose);
  const same = lastRun?.id === run.id;
  const ended = run.finished && same && !lastRun.finished;
  const begun = !run.finished && !same;
  const open = same && root.querySelector("details.made")?.open;
  if (same && run.cells && tellsMore(run)) tabs.postMessage({ id: run.id, cells: idsOf(run) });
  lastRun = run;
  remember(run);
  const typed = same && root.querySelector(".name:focus")?.value;
  if (run.cells) drawBoard(run);
  else drawRun(run);
  if (typed) root.querySelector(".name").value = typed;
  if (open) root.querySelector("details.made").open = true;
  if (ended) announce(run);
  // On a phone the result lies below the button that was pressed.
  if (begun && window.innerWidth < 860) root.scrollIntoView({ behavior: "smooth" });
  const ticking = run.cells ? tickBoard : tick;
  if (!run.finished) { ticking(); clock = setInterval(ticking, 100); }
  check();
}

function drawRun(run) {
  document.documentElement.classList.remove("kontext-wide");
  window.kontext.redraw(root, () => root.replaceChildren(...[
    run.finished ? null : stages(run),
    ...(run.refused || []).map(trouble),
    ...run.troubles.map(trouble),
    h("div", { class: `pictures count-${Math.min(run.pictures.length + run.awaited, 4)}` }, run.pictures.map((entry, index) => picture(run, entry, index)), placeholders(run)),
    run.finished && run.id ? window.kontext.label(run, (label) => trigger("mark", label)) : null,
    run.finished ? receipt(run) : null,
    run.id ? made(run) : null,
    drawStrip(),
  ].filter(Boolean)));
}

window.kontext.onLabel(({ run, name, favourite }) => {
  if (props.value?.id === run) props.value = { ...props.value, name, favourite };
});
watch("value", draw);
watch("strip", checked);
watch("offer", () => window.kontext.take(props.offer));
draw();
