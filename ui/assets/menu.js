// What can be done with one thing, as a list to choose from: in the middle of the page, on a phone at its lower edge.
// `items`: [{label, note, group, disabled, act or href with name}]; those of one group stand under its title.
window.kontext.menu = (() => {
  const { h } = window.kontext;
  const title = h("h2", {});
  const list = h("div", { class: "items" });
  const dialog = h("dialog", { class: "menu", "aria-label": "Actions" }, title, list,
    h("button", { type: "button", class: "cancel", onclick: () => dialog.close() }, "Cancel"));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // a lightbox beneath has keys of its own

  function item(entry) {
    const words = [h("span", {}, entry.label), entry.note && h("small", {}, entry.note)];
    if (entry.href) return h("a", { href: entry.href, download: entry.name, onclick: () => dialog.close() }, words);
    const act = () => { for (const open of document.querySelectorAll("dialog[open]")) open.close(); entry.act(); };
    return h("button", { type: "button", disabled: entry.disabled, onclick: act }, words);
  }

  return (words, items) => {
    if (!dialog.isConnected) document.body.append(dialog);
    title.textContent = words;
    const groups = [...new Set(items.map((entry) => entry.group || ""))];
    list.replaceChildren(...groups.flatMap((group) => [
      group && h("h3", {}, group), ...items.filter((entry) => (entry.group || "") === group).map(item),
    ].filter(Boolean)));
    dialog.showModal();
  };
})();
