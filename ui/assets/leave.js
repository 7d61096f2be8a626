// Everything of a visitor's goes: the question before it, and what stands in every open tab of theirs once it is done.
{
  const { h } = window.kontext;
  const leave = window.kontext.leave = {};
  const OURS = "kontext-", WHO = "kontext-visitor"; // what this page keeps in the browser
  const count = (number, one, more = `${one}s`) => `${number} ${number === 1 ? one : more}`;
  const dialog = h("dialog", { class: "menu leave", "aria-label": "Delete everything of mine" });
  dialog.addEventListener("keydown", (event) => event.stopPropagation());

  function show(title, ...parts) {
    if (!dialog.isConnected) document.body.append(dialog);
    dialog.replaceChildren(h("h2", {}, title), ...parts.flat().filter(Boolean));
    if (!dialog.open) dialog.showModal();
  }

  const goes = ({ trials, judges }) => [
    "Every picture and comparison in your history, with its prompt, settings, references and name.",
    trials > 0 && `Your ${count(trials, "trial")}, with pictures, votes and reports.${judges ? ` ${count(judges, "judge")} can't open ${trials === 1 ? "it" : "them"} any more.` : ""}`,
    "What this browser keeps for the app: your draft, your key and your invitation. Keep your invitation's link if you want to use it again.",
  ].filter(Boolean).map((words) => h("li", {}, words));

  const stays = ({ going }) => [
    "What each picture cost, with its date and variant but without anything that leads to you: the app's sums must stay right.",
    "Real pictures at WaveSpeedAI, which deletes them after 7 days.",
    going > 0 && `${count(going, "run is", "runs are")} still going. What was sent can't be called back, so ${going === 1 ? "it ends" : "they end"} first, and ${going === 1 ? "is" : "are"} deleted then.`,
  ].filter(Boolean).map((words) => h("li", {}, words));

  // `what`: {trials, judges, going}; `confirm()` when it is to be done.
  leave.ask = (what, confirm) => {
    const press = () => { button.disabled = true; button.textContent = "Deleting…"; confirm(); };
    const button = h("button", { type: "button", class: "danger", disabled: what.trials > 0, onclick: press }, "Delete everything");
    const agree = (event) => { button.disabled = !event.target.checked; };
    show("Delete everything of yours?",
      h("h3", {}, "This goes, for good"), h("ul", {}, goes(what)), h("h3", {}, "This stays"), h("ul", {}, stays(what)),
      what.trials > 0 && h("label", {}, h("input", { type: "checkbox", onchange: agree }), `Yes, delete my ${count(what.trials, "trial")} too`),
      button, h("button", { type: "button", class: "cancel", onclick: () => dialog.close() }, "Cancel"));
    dialog.querySelector(".cancel").focus();
  };

  function over(title, words) {
    window.kontext.keep = () => {}; // nothing of this page is kept any more
    dialog.addEventListener("close", () => location.replace(location.pathname));
    show(title, h("p", {}, words), h("button", { type: "button", onclick: () => dialog.close() }, "Start anew"));
  }

  // It is done, or `going` runs end first.
  leave.done = (going) => {
    over("Everything of yours is deleted", going
      ? `${count(going, "run is", "runs are")} still going, and deleted as soon as ${going === 1 ? "it has" : "they have"} ended. To this app you're somebody new from now on.`
      : "To this app you're somebody new from now on.");
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith(OURS)) localStorage.removeItem(key);
    } catch { /* forbidden: nothing was kept */ }
  };
  leave.close = () => dialog.close();

  addEventListener("storage", ({ key, newValue }) => {
    if (key === WHO && newValue === null) over("Everything of yours was deleted", "You did that in another tab. What this one shows is gone.");
  });
}
