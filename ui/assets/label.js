// A run's star and its name, to see and to change. What is changed in one place shows in every other at once.
{
  const { h } = window.kontext;
  const CHANGED = "kontext-label";

  function show(node, { name, favourite }) {
    const [star, input] = node.children;
    star.textContent = favourite ? "★" : "☆";
    star.setAttribute("aria-pressed", String(favourite));
    star.title = favourite ? "Remove from favourites" : "Keep as a favourite";
    input.value = name;
  }

  // `save(change)` tells the server: {run, name} or {run, favourite}. What is sent later may come before.
  window.kontext.label = (run, save) => {
    const change = (what) => {
      const label = { run: run.id, name: input.value.trim(), favourite: star.getAttribute("aria-pressed") === "true" };
      save({ run: run.id, [what]: label[what] });
      document.dispatchEvent(new CustomEvent(CHANGED, { detail: label }));
    };
    const press = () => { star.setAttribute("aria-pressed", String(star.getAttribute("aria-pressed") !== "true")); change("favourite"); };
    const star = h("button", { type: "button", class: "star", "aria-label": "Favourite", onclick: press });
    const input = h("input", {
      type: "text", class: "name", placeholder: "Name this run", "aria-label": "Name of this run", maxlength: "80", autocomplete: "off",
      onchange: () => change("name"), onkeydown: (event) => { if (event.key === "Enter") change("name"); },
    });
    const node = h("div", { class: "label", "data-run": run.id }, star, input);
    show(node, run);
    return node;
  };

  // `heard(label)` after each change; what is drawn has changed by itself.
  window.kontext.onLabel = (heard) => document.addEventListener(CHANGED, (event) => heard(event.detail));
  window.kontext.onLabel((label) => {
    for (const node of document.querySelectorAll(`.label[data-run="${CSS.escape(label.run)}"]`)) show(node, label);
  });
}
