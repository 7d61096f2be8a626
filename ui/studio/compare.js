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

const FIRST = "Your prompt goes first.";
let drawn = null; // what is drawn, as text
const state = (value = props.value, problems = props.problems) => JSON.stringify([value, problems, props.cards]);

function commit(change) {
  hold(change);
  show();
  trigger("change");
}

// Into the value without drawing: the cursor stays where it is. What was wrong may be right now.
function hold(change) {
  drawn = state({ ...props.value, ...change }, {});
  props.value = { ...props.value, ...change };
  props.problems = {};
  for (const line of root.querySelectorAll("[role=alert]")) line.remove();
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

// Two to four boxes; `field` is the list in the value that they fill, and `first` stands before them.
function boxes(field, box, what, first) {
  const before = first ? 1 : 0, count = props.value[field].length + before;
  const row = (text, at) => {
    const called = `${what} ${at + before + 1}`;
    const node = box({
      "aria-label": called, maxlength: props.longest[field],
      oninput: (event) => hold({ [field]: props.value[field].with(at, event.target.value) }),
      onchange: () => trigger("change"),
    });
    node.value = text;
    return h("div", { class: "box" }, node,
      count > props.fewest && h("button", { type: "button", class: "less", "aria-label": `Remove ${called.toLowerCase()}`, onclick: () => commit({ [field]: props.value[field].toSpliced(at, 1) }) }, "×"));
  };
  const add = () => {
    commit({ [field]: [...props.value[field], first ? page.prompt : ""] });
    root.querySelector(`.${field} .box:nth-last-of-type(1) :is(input, textarea)`).focus();
  };
  return h("div", { class: `boxes ${field}` }, first, props.value[field].map(row),
    count < props.most && h("button", { type: "button", class: "more", onclick: add }, `Add a ${what.toLowerCase()}`));
}

const seeds = () => boxes("seeds", (given) => h("input", { type: "text", inputmode: "numeric", autocomplete: "off", placeholder: "new for every run", ...given }), "Seed");
const wordings = () => boxes("wordings", (given) => h("textarea", { rows: "4", ...given }), "Wording", h("p", { class: "box first" }, page.prompt || FIRST));

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

const show = () => { drawn = state(); redraw(root, draw); };

// What the sum counts is drawn on the cards as well; the first wording is the prompt.
const page = window.kontext.onComparing((now, before) => {
  const first = root.querySelector(".first");
  if (first) first.textContent = now.prompt || FIRST;
  if (props.value.on && now.references !== before.references) show();
});

watch(["value", "problems", "cards"], () => { if (state() !== drawn) show(); });
draw();
