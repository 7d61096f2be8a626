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
      event.target.textContent = "Delete for good?";
    },
  }, "Delete");
  return h("li", {},
    h("button", { type: "button", class: "thumbs", "aria-label": `Open the run: ${run.prompt.slice(0, 80)}`, onclick: () => trigger("open", { run: run.id }) },
      run.pictures.length ? run.pictures.slice(0, 4).map((picture) => h("img", { src: picture.url, alt: "", loading: "lazy" })) : h("span", { class: "none" }, run.finished ? "no picture" : "running")),
    h("div", { class: "what" },
      h("p", { class: "line" }, h("b", {}, run.state), h("span", {}, new Date(run.when).toLocaleString()), run.preset && h("span", {}, run.preset)),
      h("p", { class: "prompt" }, run.prompt),
      h("p", { class: "line" }, run.receipt.map((part) => h("span", {}, part))),
      run.troubles.map((text) => h("p", { class: "trouble" }, text)),
      h("div", { class: "acts" }, act("open", "Open"), act("restore", "Take the inputs back"), run.open && act("takeup", "Take it up again"), run.finished && drop)));
}

function draw() {
  const runs = props.value?.runs || [];
  if (!runs.length) { root.replaceChildren(h("p", { class: "empty" }, "Your runs will be listed here, with their pictures and what they cost.")); return; }
  const list = h("ol", {});
  const fill = () => {
    const found = runs.filter(matches);
    list.replaceChildren(...found.map(entry));
    if (!found.length) list.append(h("li", { class: "empty" }, "No run matches."));
  };
  const search = h("input", { type: "search", placeholder: "Find by words", "aria-label": "Find runs by words", value: words, oninput: (event) => { words = event.target.value; fill(); } });
  const choose = h("select", { "aria-label": "Variant", onchange: (event) => { variant = event.target.value; fill(); } },
    h("option", { value: "" }, "All variants"),
    Object.entries(props.variants).map(([id, name]) => h("option", { value: id, selected: id === variant }, name)));
  root.replaceChildren(h("div", { class: "filters" }, search, choose), list);
  fill();
}

watch("value", draw);
draw();
