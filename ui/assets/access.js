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
    const parts = ["#title .brand", "#references .add", "#result .result > *", "#generate", "#estimate .sum"];
    if (parts.every((part) => document.querySelector(part))) document.documentElement.classList.add("kontext-ready");
  }

  // Gradio makes controls anew whenever it likes; once a frame is often enough.
  let due = false;
  const mend = () => { due = false; joinRadios(); tellExpanded(); appear(); };
  const soon = () => { if (!due) { due = true; requestAnimationFrame(mend); } };
  new MutationObserver(soon).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
}
