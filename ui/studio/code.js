// Code in one language at a time, as text, with a button to copy it.
const { h } = window.kontext;
const root = element.querySelector(".code");
let language = null;

function copy(event, text) {
  navigator.clipboard?.writeText(text).then(() => { event.target.textContent = "Copied"; });
}

function draw() {
  const { code = {}, note = "" } = props.value || {};
  const languages = Object.keys(code);
  if (!languages.includes(language)) language = languages[0];
  if (!language) { root.replaceChildren(h("p", { class: "note" }, note)); return; }
  const choices = languages.map((name) =>
    h("button", { type: "button", "aria-pressed": String(name === language), onclick: () => { language = name; draw(); } }, name));
  root.replaceChildren(
    h("p", { class: "note" }, "Run this from your own code."),
    h("div", { class: "bar", role: "group", "aria-label": "Language" }, choices,
      h("button", { type: "button", class: "copy", onclick: (event) => copy(event, code[language]) }, "Copy")),
    h("pre", { tabindex: "0", role: "region", "aria-label": `${language} code` }, h("code", {}, code[language])));
}

watch("value", draw);
draw();
