// The visitor's runs: find one, open it, take its inputs back, delete it.
const { h } = window.kontext;
const root = element.querySelector(".history");
let words = "";
let variant = "";

function matches(run) {
  const text = `${run.prompt} ${run.preset} ${run.receipt.join(" ")}`.toLowerCase();
  return (!variant || run.variant === variant) && words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function entry(run) {
  const act = (name, label) => h("button", { type: "button", onclick: () => trigger(name, { run: run.id }) }, label);
  const drop = h("button", {
    type: "button",
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
      h("p", { class: "line" }, h("b", {}, run.state), h("span", {}, new Date(run.when).toLocaleString()), run.preset && h("span", {}, run.preset)),
      h("p", { class: "prompt" }, run.prompt),
      h("p", { class: "line" }, run.receipt.map((part) => h("span", {}, part))),
      run.troubles.map((text) => h("p", { class: "trouble" }, text)),
      h("div", { class: "acts" }, act("open", "Open"), act("restore", "Reuse these settings"), run.pictures.length > 0 && act("archive", "Download all"), run.open && act("resume", "Check again"), run.deletable && drop)));
}

function draw() {
  const runs = props.value?.runs || [];
  if (!runs.length) { root.replaceChildren(h("p", { class: "empty" }, "Your runs will be listed here, with their pictures and what they cost."), recovery()); return; }
  const list = h("ol", {});
  const fill = () => {
    const found = runs.filter(matches);
    list.replaceChildren(...found.map(entry));
    if (!found.length) list.append(h("li", { class: "empty" }, "No run matches."));
  };
  const search = h("input", { type: "search", placeholder: "Search prompts", "aria-label": "Search your prompts", value: words, oninput: (event) => { words = event.target.value; fill(); } });
  const choose = h("select", { "aria-label": "Variant", onchange: (event) => { variant = event.target.value; fill(); } },
    h("option", { value: "" }, "All variants"),
    Object.entries(props.variants).map(([id, name]) => h("option", { value: id, selected: id === variant }, name)));
  const receipts = h("button", { type: "button", class: "plain", onclick: () => trigger("receipts") }, "Receipts (CSV)");
  root.replaceChildren(h("div", { class: "filters" }, search, choose, receipts), list, recovery());
  fill();
}

function recovery() {
  const id = h("input", { type: "text", placeholder: "Prediction id", "aria-label": "Prediction id", autocomplete: "off", spellcheck: "false" });
  return h("details", {}, h("summary", {}, "Recover by prediction id"),
    h("p", { class: "line" }, "Anything made with this key in the last 7 days can be fetched again; it costs nothing."),
    h("div", { class: "filters" }, id,
      h("button", { type: "button", class: "plain", onclick: () => { if (id.value.trim()) trigger("recover", { prediction: id.value.trim() }); } }, "Recover")));
}

// The server made a file to download: take it.
function take() {
  const file = props.offer;
  if (!file) return;
  const link = h("a", { href: file.url, download: file.orig_name });
  document.body.append(link);
  link.click();
  link.remove();
}

watch("value", draw);
watch("offer", take);
draw();
