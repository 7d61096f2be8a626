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

  // The server made a file to download: takes it.
  take(file) {
    if (!file) return;
    const link = this.h("a", { href: file.url, download: file.orig_name });
    document.body.append(link);
    link.click();
    link.remove();
  },

  // Draws anew what `root` shows. What was in focus is in focus again, though it is another element; where it is gone,
  // what has taken its place.
  redraw(root, draw) {
    const all = () => [...root.querySelectorAll("button:enabled, a[href], input, select, summary")];
    const name = (node) => node.getAttribute("aria-label") || node.textContent;
    const held = document.activeElement;
    const before = all();
    const at = before.indexOf(held);
    draw();
    if (at < 0) return;
    const place = before.slice(0, at).filter((node) => name(node) === name(held)).length;
    const after = all();
    const same = after.filter((node) => name(node) === name(held));
    (same[place] ?? same.at(-1) ?? after[at] ?? after.at(-1))?.focus({ preventScroll: true });
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

// What is asked before a press counts, once. Everything the same as at the last press would make, and charge, the same
// once more. And a larger sum is confirmed by the button itself.
(() => {
  const LARGE = 500_000; // millionths of a dollar: above it the button asks
  let last = null; // the inputs of the last press
  let asked = null; // the inputs that were asked about
  let spent = 0; // what a press spends
  let told = null; // the new price that a refusal has told of: the press after it confirms that
  const values = () => [...document.querySelectorAll("#inputs :is(input, textarea, select, .cards img)")]
    .map((node) => (node.matches("[type=radio], [type=checkbox]") ? node.checked : node.value ?? node.src)).join("\n");
  const say = (words) => { document.querySelector("#ask p").textContent = words; };

  // Gradio writes the button's words; what stands over them is taken away without its knowing.
  const generate = () => document.getElementById("generate");
  const over = () => document.querySelector("#generate .spend");
  const confirm = () => {
    const words = `Spend ${inDollars(spent)}`;
    generate().append(window.kontext.h("span", { class: "spend" }, words));
    generate().setAttribute("aria-label", words);
  };
  const uncover = () => {
    over()?.remove();
    generate()?.removeAttribute("aria-label");
  };

  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("#generate")) return;
    const now = values();
    const repeats = now === last && now !== asked, large = spent > LARGE && spent !== told && !over();
    if (repeats || large) {
      asked = now;
      event.stopImmediatePropagation();
      const held = document.querySelector("#seed :is(input, textarea)")?.value;
      if (large) confirm();
      if (repeats) say(held ? "Same settings, same seed: this makes the same picture. Press again to do it anyway."
        : "Same settings as your last run. Press again to make another.");
      return;
    }
    last = now;
    forget();
  }, true);
  const forget = () => { told = null; say(""); uncover(); };
  for (const change of ["input", "change"]) document.addEventListener(change, (event) => { if (event.target.closest?.("#inputs")) forget(); });
  // Cards, presets and what a press of a button fills in change without a word of the browser's.
  window.kontext.changed = () => { if (over() && values() !== asked) uncover(); };
  window.kontext.spends = (sum) => { if (sum !== spent) uncover(); spent = sum; window.kontext.changed(); };
  window.kontext.isLarge = (sum) => sum > LARGE;
  // A press that was refused made nothing, so the next one has nothing to ask.
  window.kontext.refused = (rose) => { last = asked = null; told = rose; };
})();
