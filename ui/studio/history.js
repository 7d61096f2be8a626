// The visitor's runs: find one, open it, take its inputs back, delete it.
const { h } = window.kontext;
const root = element.querySelector(".history");
const TYPING = 250; // ms without a key before the search goes out
let runs = []; // those that are here as yet
let more = false; // whether older ones follow
const ALL = { words: "", variant: "", favourites: false };
let asked = ALL;
let typing = null;

function entry(run) {
  const act = (name, label) => h("button", { type: "button", onclick: () => trigger(name, { run: run.id }) }, label);
  const drop = h("button", {
    type: "button", class: "drop",
    onclick: (event) => {
      // A second press confirms: a deleted run can't be had back.
      if (event.target.dataset.sure) trigger("discard", { run: run.id });
      event.target.dataset.sure = "yes";
      event.target.textContent = "Delete permanently?";
    },
  }, "Delete");
  return h("li", {},
    h("button", { type: "button", class: "thumbs", "aria-label": `Open the run: ${run.prompt.slice(0, 80)}`, onclick: () => trigger("open", { run: run.id }) },
      run.pictures.length ? run.pictures.slice(0, 4).map((picture) => h("img", { src: picture.url, alt: "", loading: "lazy" })) : h("span", { class: "none" }, run.deletable ? "no picture" : "running")),
    h("div", { class: "what" },
      window.kontext.label(run, (label) => trigger("mark", label)),
      h("p", { class: "line" }, h("b", {}, run.state), h("span", {}, new Date(run.when).toLocaleString()), run.preset && h("span", {}, run.preset)),
      h("p", { class: "prompt" }, run.prompt),
      h("p", { class: "line" }, run.receipt.map((part) => h("span", {}, part))),
      run.troubles.map((text) => h("p", { class: "trouble" }, text)),
      h("div", { class: "acts" }, act("open", "Open"), run.restorable && act("restore", "Reuse these settings"), run.restorable && h("button", { type: "button", onclick: () => window.kontext.trials.add(run.id) }, "Add to a trial"), run.pictures.length > 0 && act("archive", "Download all"), run.open && act("resume", "Check again"), run.deletable && drop)));
}

const list = h("ol", {});
const empty = h("p", { class: "empty" }, "Your runs will be listed here, with their pictures and what they cost.");
const older = h("button", { type: "button", class: "plain older", onclick: () => trigger("search", { ...asked, after: runs.at(-1).id }) }, "Show more");
const filters = h("div", { class: "filters" },
  h("input", { type: "search", placeholder: "Search", "aria-label": "Search your runs", maxlength: "300",
    oninput: (event) => { clearTimeout(typing); typing = setTimeout(() => ask({ words: event.target.value.trim().toWellFormed() }), TYPING); } }),
  h("select", { "aria-label": "Variant", onchange: (event) => ask({ variant: event.target.value }) },
    h("option", { value: "" }, "All variants"),
    Object.entries(props.variants).map(([id, name]) => h("option", { value: id }, name))),
  h("button", { type: "button", class: "plain", "aria-pressed": "false",
    onclick: ({ currentTarget }) => { ask({ favourites: !asked.favourites }); currentTarget.setAttribute("aria-pressed", String(asked.favourites)); } }, "★ Favourites"),
  h("button", { type: "button", class: "plain", onclick: () => trigger("receipts") }, "Receipts (CSV)"));
const leave = h("button", { type: "button", class: "plain leave", "aria-haspopup": "dialog", onclick: () => trigger("belongings") }, "Delete everything of mine");
root.replaceChildren(filters, empty, list, older, recovery(), leave);

function ask(change) {
  asked = { ...asked, ...change };
  trigger("search", { ...asked, after: "" });
}

// An answer: runs from the newest on, older ones to add, or that one is gone.
function arrive() {
  const { gone, after, ...page } = props.value || {};
  if (gone) runs = runs.filter((run) => run.id !== gone);
  else if (page.runs) {
    const answers = (question) => Object.keys(ALL).every((name) => page[name] === question[name]);
    if (!answers(asked)) {
      if (answers(ALL)) ask({}); // the tab was opened anew, with a search in it
      return;
    }
    if (after && after !== runs.at(-1)?.id) return; // asked for twice
    runs = after ? [...runs, ...page.runs] : page.runs;
    more = page.more;
  }
  draw();
}

function draw() {
  const searching = asked.words || asked.variant || asked.favourites;
  window.kontext.redraw(list, () => list.replaceChildren(...runs.map(entry)));
  if (!runs.length && searching) list.append(h("li", { class: "empty" }, "No run matches."));
  filters.hidden = !runs.length && !searching;
  empty.hidden = !filters.hidden;
  older.hidden = !more || !runs.length;
}

function recovery() {
  const id = h("input", { type: "text", placeholder: "Prediction id", "aria-label": "Prediction id", autocomplete: "off", spellcheck: "false" });
  return h("details", {}, h("summary", {}, "Recover by prediction id"),
    h("p", { class: "line" }, "Anything made with this key in the last 7 days can be fetched again; it costs nothing."),
    h("div", { class: "filters" }, id,
      h("button", { type: "button", class: "plain", onclick: () => { if (id.value.trim()) trigger("recover", { prediction: id.value.trim() }); } }, "Recover")));
}

window.kontext.onLabel(({ run, name, favourite }) => {
  runs = runs.map((entry) => (entry.id === run ? { ...entry, name, favourite } : entry));
});
watch("value", arrive);
// What the visitor has here, to ask before it goes; then that it is gone, or could not all go.
let heard = null; // the props come anew whenever Gradio likes
watch("leaving", () => {
  const { gone, failed, asked: answer, ...what } = props.leaving || {};
  if (!answer || answer === heard) return;
  heard = answer;
  if (gone) window.kontext.leave.done(what.going);
  else if (failed) window.kontext.leave.close();
  else window.kontext.leave.ask(what, () => trigger("forget"));
});
watch("offer", () => window.kontext.take(props.offer));
arrive();
