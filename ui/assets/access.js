// What Gradio leaves out for keyboards, for screen readers, and for whoever watches the page come.
{
  // Radios of one question have one name, so that arrow keys move between them.
  function joinRadios() {
    for (const group of document.querySelectorAll(".gradio-container fieldset:has(input[type=radio])")) {
      const radios = group.querySelectorAll("input[type=radio]");
      for (const radio of radios) if (radio.name !== radios[0].name) radio.name = radios[0].name;
    }
  }

  function tellExpanded() {
    const say = (button, open) => { if (button && button.getAttribute("aria-expanded") !== String(open)) button.setAttribute("aria-expanded", String(open)); };
    for (const button of document.querySelectorAll("button.label-wrap")) say(button, button.classList.contains("open"));
    say(document.querySelector("#open-settings"), Boolean(document.querySelector("#settings")?.checkVisibility()));
  }

  // What is made piece by piece is shown as a whole.
  function appear() {
    const parts = ["#title .brand", "#references .add", "#preset button", "#prompt textarea", "#variant label", "#result .result > *", "#generate", "#estimate .sum"];
    if (parts.every((part) => document.querySelector(part))) document.documentElement.classList.add("kontext-ready");
  }

  // The focus is never lost: where what had it goes, or is hidden, the control before it has it.
  const CONTROLS = ":is(button, input, select, textarea):enabled, a[href], summary";
  let held = null; // null: it was left for nothing, by a press somewhere on the page
  let before = [];
  const there = (node) => node.isConnected && !node.disabled && node.checkVisibility();
  const lost = () => held && (!document.activeElement || document.activeElement === document.body);
  function keepFocus() {
    if (!lost() || there(held)) return;
    const dialog = document.querySelector("dialog[open]");
    const next = before.find((node) => there(node) && (!dialog || dialog.contains(node)));
    (next?.closest("[role=tablist]")?.querySelector("[aria-selected=true]") || next)?.focus({ preventScroll: true });
  }
  document.addEventListener("focusin", ({ target }) => {
    const all = [...document.querySelectorAll(CONTROLS)];
    [held, before] = [target, all.slice(0, Math.max(0, all.indexOf(target))).reverse()];
  });
  document.addEventListener("focusout", () => requestAnimationFrame(() => {
    keepFocus();
    if (lost()) held = null;
  }));

  // Gradio makes controls anew whenever it likes; once a frame is often enough.
  let due = false;
  const mend = () => { due = false; joinRadios(); tellExpanded(); appear(); keepFocus(); };
  const soon = () => { if (!due) { due = true; requestAnimationFrame(mend); } };
  new MutationObserver(soon).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
}
