// Shows one run: where it stands, its pictures, its receipt, what went wrong. It only watches; seconds tick here.
const { h } = window.kontext;
const root = element.querySelector(".result");
let clock = null;
let shownAt = 0;
let lastRun = null;
let recipes = true; // whether a download carries its recipe

const seconds = (value) => `${value.toFixed(1)} s`;

function progressText(run) {
  const gone = run.seconds + (performance.now() - shownAt) / 1000;
  return run.expected_seconds ? `${seconds(gone)} of about ${Math.round(run.expected_seconds)} s` : seconds(gone);
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
    h("button", { type: "button", class: "quiet", onclick: () => trigger("stop", { run: run.id }) }, "Stop waiting"));
}

function picture(run, entry, index) {
  return h("figure", {},
    h("button", { type: "button", class: "open", "aria-label": `Picture ${index + 1} of ${run.pictures.length}: open at full size`, onclick: () => window.open(entry.image.url, "_blank", "noopener") },
      h("img", { src: entry.image.url, alt: entry.alt, width: entry.width, height: entry.height })),
    h("figcaption", {},
      entry.seed === null || run.one_seed ? null : h("span", { class: "seed" }, `seed ${entry.seed}`),
      h("button", { type: "button", onclick: () => trigger("use", { run: run.id, number: entry.number }) }, "Use as reference"),
      h("a", { href: (recipes && entry.with_recipe ? entry.with_recipe : entry.image).url, download: entry.name, class: "button" }, "Download")));
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

function receipt(run) {
  return h("div", { class: "receipt" },
    h("p", {}, run.receipt.map((part) => h("span", {}, part))),
    run.pictures.length > 0 && recipeSwitch(),
    run.resume && h("button", { type: "button", onclick: () => trigger("resume", { run: run.id }) }, run.resume),
    run.again && h("button", { type: "button", onclick: () => trigger("again", { run: run.id }) }, run.again));
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
  const run = props.value;
  shownAt = performance.now();
  clearInterval(clock);
  // On a phone the result lies below the button that was pressed.
  if (run && !run.finished && lastRun !== run.id && window.innerWidth < 860) root.scrollIntoView({ behavior: "smooth" });
  lastRun = run?.id;
  root.setAttribute("aria-busy", String(Boolean(run && !run.finished)));
  if (!run) { root.replaceChildren(welcome()); return; }
  root.replaceChildren(
    ...(run.finished ? [] : [stages(run)]),
    ...run.troubles.map(trouble),
    h("div", { class: `pictures count-${Math.min(run.pictures.length + run.awaited, 4)}` }, run.pictures.map((entry, index) => picture(run, entry, index)), placeholders(run)),
    ...(run.finished ? [receipt(run)] : []));
  if (!run.finished) { tick(); clock = setInterval(tick, 100); }
}

watch("value", draw);
draw();
