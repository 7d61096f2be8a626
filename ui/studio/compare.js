// Compare: a switch, the variants to choose from, and the second axis. All of it lives in props.value and changes only
// here; what is typed is kept at each letter, and told once the cursor leaves.
const { h, redraw } = window.kontext;
const root = element.querySelector(".compare");

const AXES = [
  ["variants", "Nothing else", ""],
  ["seeds", "Seeds", "How much is luck: the same inputs with other seeds."],
  ["prompts", "Wordings", "The first is your prompt."],
  ["leave_one_out", "Which picture matters?", "Leaves out one reference at a time, and makes the whole once more with another seed. It’s a hint, not proof: without a picture the layout changes too."],
];

let page = { variant: null, references: 0, prompt: "" }; // what the rest of the form holds
let shown = null; // the value that is drawn, as text

function commit(change) {
  props.problems = {};
  hold(change);
  show();
  trigger("change");
}

// Into the value without drawing: the cursor stays where it is.
function hold(change) {
  const next = { ...props.value, ...change };
  shown = JSON.stringify(next);
  props.value = next;
}

function turn() {
  const { on, variants } = props.value;
  commit({ on: !on, variants: variants.length ? variants : [page.variant] });
}

function choose(id) {
  const chosen = new Set(props.value.variants);
  if (!chosen.delete(id)) chosen.add(id);
  commit({ variants: props.cards.map(([, each]) => each).filter((each) => chosen.has(each)) });
}

const problem = (...fields) => {
  const said = fields.map((field) => (props.problems || {})[field]).filter(Boolean);
  return said.length ? h("p", { class: "problem", role: "alert" }, said.join(" ")) : null;
};

function card([text, id], out) {
  const [name, ...lines] = text.split("\n");
  const chosen = props.value.variants.includes(id), told = `compare-${id}`;
  return h("label", { class: ["variant", chosen && "selected", chosen && out && "out"].filter(Boolean).join(" ") },
    h("input", { type: "checkbox", "aria-label": name, "aria-describedby": told, checked: chosen, onchange: () => choose(id) }),
    h("span", { class: "name" }, name),
    h("span", { class: "lines", id: told }, lines.join("\n"), out && h("em", {}, `\nLeft out: ${out}`)));
}

function axis([id, label], blocked) {
  const chosen = props.value.axis === id;
  return h("label", { class: chosen ? "selected" : "", title: blocked || null },
    h("input", { type: "radio", name: "compare-axis", "aria-label": label, checked: chosen, onchange: () => commit(start(id)) }), label);
}

// Another wording is the prompt, to be changed.
const start = (axis) => (axis === "prompts" && !props.value.wordings.some(Boolean) ? { axis, wordings: [page.prompt] } : { axis });

// Two to four boxes; `field` is the list in the value that they fill.
function boxes(field, box, what, first) {
  const texts = props.value[field], count = texts.length + (first ? 1 : 0);
  const row = (text, at) => {
    const number = at + (first ? 2 : 1);
    const node = box({
      "aria-label": `${what} ${number}`, maxlength: props.longest[field],
      oninput: (event) => hold({ [field]: props.value[field].map((each, place) => (place === at ? event.target.value : each)) }),
      onchange: () => trigger("change"),
    });
    node.value = text;
    const less = h("button", { type: "button", class: "less", "aria-label": `Remove ${what.toLowerCase()} ${number}`, onclick: () => commit({ [field]: texts.filter((_, place) => place !== at) }) }, "×");
    return h("div", { class: "box" }, node, count > props.fewest && less);
  };
  const more = h("button", { type: "button", class: "more", onclick: () => { commit({ [field]: [...texts, first ? page.prompt : ""] }); root.querySelector(`.${field} .box:last-of-type :is(input, textarea)`).focus(); } }, `Add a ${what.toLowerCase()}`);
  return h("div", { class: `boxes ${field}` }, first, texts.map(row), count < props.most && more);
}

const seeds = () => boxes("seeds", (given) => h("input", { type: "text", inputmode: "numeric", autocomplete: "off", placeholder: "new for every run", ...given }), "Seed");
const wordings = () => boxes("wordings", (given) => h("textarea", { rows: "4", ...given }), "Wording", h("p", { class: "box first" }, page.prompt || "Your prompt goes first."));

function body() {
  const { axis: chosen, variants } = props.value;
  const { rows, problem: blocked, out } = window.kontext.comparison(chosen, page.references);
  const without = chosen === "seeds" ? [] : props.cards.filter(([, id]) => variants.includes(id) && !(id in out)).map(([text]) => text.split("\n")[0]).filter((name) => props.unseeded.includes(name));
  const help = blocked || AXES.find(([id]) => id === chosen)[2];
  return [
    h("div", { class: "variants", role: "group", "aria-label": "Variants to compare" }, props.cards.map((each) => card(each, out[each[1]]))),
    problem("variant_ids"),
    without.length > 0 && h("p", { class: "help" }, `The same seed for all that have one. ${without.join(" and ")} ${without.length === 1 ? "has" : "have"} none.`),
    h("div", { class: "axes", role: "radiogroup", "aria-label": "Also compare" }, h("span", {}, "Also compare"), AXES.map((each) => axis(each))),
    help && h("p", { class: blocked ? "help problem" : "help" }, help),
    chosen === "seeds" && seeds(),
    chosen === "prompts" && wordings(),
    problem("axis", "seeds", "prompts", "leave_one_out", ...(chosen === "seeds" ? ["seed"] : chosen === "prompts" ? ["prompt"] : [])),
  ];
}

function draw() {
  const { on } = props.value;
  root.classList.toggle("on", on);
  root.replaceChildren(
    h("header", {}, on && h("h2", {}, "Variants"), h("button", { type: "button", role: "switch", class: "switch", "aria-checked": String(on), onclick: turn }, "Compare")),
    ...(on ? body().filter(Boolean) : []));
}

const show = () => redraw(root, draw);

// What the sum counts is drawn on the cards as well; the first wording is the prompt.
window.kontext.comparing = (known) => {
  const before = page;
  page = { ...page, ...known };
  const first = root.querySelector(".first");
  if (first) first.textContent = page.prompt || "Your prompt goes first.";
  if (props.value.on && (before.references !== page.references || !root.classList.contains("on"))) show();
};

watch("value", () => { if (JSON.stringify(props.value) !== shown) { shown = JSON.stringify(props.value); show(); } });
watch(["problems", "cards"], show);
draw();
