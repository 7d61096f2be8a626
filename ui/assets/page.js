// What the page's own elements share: making elements without ever parsing text as HTML.
window.kontext = {
  // h("button", {class: "x", onclick: f}, "text", child): text is text, never markup.
  h(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  },
};

// Gradio hears of typing through key presses alone: pasted, deleted or dictated words in a preset's field tell it here.
document.addEventListener("input", (event) => {
  if (event.target.closest("#fields")) event.target.dispatchEvent(new KeyboardEvent("keypress", { bubbles: true }));
});

// A number that was emptied is the one before it again: Gradio would take the lowest that the control allows.
const numberBox = "#parameters input[type=number]";
document.addEventListener("focus", ({ target }) => {
  if (target.matches?.(numberBox)) target.dataset.before = target.value;
}, true);
document.addEventListener("blur", ({ target }) => {
  if (!target.matches?.(numberBox) || target.value !== "" || !target.dataset.before) return;
  target.value = target.dataset.before;
  target.dispatchEvent(new Event("input", { bubbles: true }));
}, true);
