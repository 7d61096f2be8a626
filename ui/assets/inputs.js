// What the inputs side does in the browser alone.

// A key's balance in pictures of the variant that is chosen now.
window.kontext.left = (variant) => {
  const line = document.querySelector("#header .balance");
  if (!line) return;
  const more = Math.floor((Number(line.dataset.left) * 1e6) / unitPrice(variant, window.kontext.prices));
  line.textContent = line.textContent.replace(/about .*/, `about ${more.toLocaleString("en")} more ${more === 1 ? "picture" : "pictures"}`);
};

// Another press that spends: its words with the price for whoever pays now, and the total in USD that it confirms.
const usd = (micros) => (micros / 1e6).toFixed(6);
window.kontext.priced = (words, id, pictures) => {
  const { prices = {}, free } = window.kontext;
  return { label: `${words} · ${free ? "free" : sumInWords(id, pictures, prices)}`, beside: usd(priceOf([[id, pictures]], prices).total) };
};

// A button for such a press, which goes on to say what is true. `press` gets the total; `about` is what it is done to.
window.kontext.spender = (words, [id, pictures], press, { about, ...attributes } = {}) => {
  const priced = () => window.kontext.priced(words, id, pictures);
  const say = (button) => {
    button.textContent = priced().label;
    if (about) button.setAttribute("aria-label", `${priced().label}: ${about}`);
    return button;
  };
  return say(window.kontext.h("button", {
    type: "button", ...attributes, "data-spends": true,
    onclick: () => press(priced().beside), onprices: ({ currentTarget }) => say(currentTarget),
  }));
};

// What Generate makes, what that costs, and who pays: [the line beside it, its own words]. `notes` are by who pays.
// And the total that a press confirms, and for how many pictures prices are asked: in practice mode for none.
window.kontext.price = (notes, variant, pictures, payer, compare, cards, prices) => {
  const references = (cards || []).length, free = payer === "sandbox", note = notes[payer], on = Boolean(compare?.on);
  const known = free ? {} : JSON.parse(prices || "{}");
  Object.assign(window.kontext, { prices: known, free });
  for (const button of document.querySelectorAll("[data-spends]")) button.dispatchEvent(new Event("prices"));
  window.kontext.left(variant);
  window.kontext.comparing({ variant, references });
  const terms = on ? window.kontext.terms(compare, references, Number(pictures)) : [[variant, Number(pictures)]];
  const made = terms.reduce((sum, [, count]) => sum + count, 0);
  const { total, beside } = priceOf(terms, known), confirmed = [usd(total), free ? "" : String(pictures)];
  window.kontext.spends(free || !on ? 0 : total);
  const button = { __type__: "update", value: on && made ? `Generate ${made} pictures` : "Generate" };
  if (!made) return [`<div class="sum"></div><small>${window.kontext.comparison(compare.axis, references).problem || "Choose one more variant, or something else to compare."}</small>`, button, ...confirmed];
  const sum = on ? termsInWords(terms, known).split(" + ").map((term) => `<span>${term}</span>`).join(" + ") : sumInWords(...terms[0], known);
  const below = free ? `${sum} ${note}` : [beside, note].filter(Boolean).join(" · ");
  return [`<div class="sum${on ? " terms" : ""}">${free ? "Free now" : sum}</div><small>${below}</small>`, button, ...confirmed];
};

// A button inside a text opens what it speaks of.
document.addEventListener("click", ({ target }) => {
  const opens = target.closest?.("[data-opens]")?.dataset.opens;
  if (opens) document.getElementById(opens).click();
});

// Ctrl or Command with Enter generates, wherever the cursor is.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !document.getElementById("generate").checkVisibility() || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  const typing = document.activeElement;
  typing?.blur?.(); // what was typed last is heard first
  typing?.focus?.({ preventScroll: true });
  document.getElementById("generate").click();
});

// Until the last draft is back, an empty page would take its place, and it the place of whatever came meanwhile: pictures
// wait, and words that were typed go behind the draft's.
let drafting = false, typed = "";
document.addEventListener("input", ({ target }) => { if (!drafting && target.closest("#prompt")) typed = target.value; });
window.kontext.draftBack = new Promise((done) => {
  window.kontext.brought = (prompt) => {
    drafting = true;
    done();
    return prompt.endsWith(typed) ? prompt : `${prompt} ${typed}`;
  };
});

// The form has changed: whoever wants to know is told, and its values are kept in this browser.
window.kontext.keep = (key, names, flat) => {
  window.kontext.changed();
  document.dispatchEvent(new Event("kontext-changed"));
  if (!drafting) return;
  const draft = { fields: [], parameters: {} };
  const own = ["cards", "preset", "compare", "prompt", "variant", "pictures", "shape", "width", "height"];
  names.forEach((name, at) => {
    if (name === "cards") draft.cards = (flat[at] || []).map((card) => ({ path: card.image.path, name: card.name, role: card.role || null }));
    else if (name === "fields") draft.fields.push(flat[at] || "");
    else if (own.includes(name)) draft[name] = flat[at] ?? null;
    else draft.parameters[name] = flat[at] ?? null;
  });
  try { localStorage.setItem(key, JSON.stringify({ ...draft, prompt: draft.prompt || "" })); } catch { /* full or forbidden: no draft */ }
};

// What was changed from elsewhere comes into view, and is said in a line over the button: until it is pressed, or read.
window.kontext.show = (id, words) => {
  const node = document.getElementById(id), { top, bottom } = node.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) node.scrollIntoView({ block: "start", behavior: "smooth" });
  let line = document.getElementById("said");
  if (!line) document.getElementById("press").append(line = window.kontext.h("p", { id: "said", role: "status" }));
  line.textContent = words;
  clearTimeout(window.kontext.saying);
  window.kontext.saying = setTimeout(() => { line.textContent = ""; }, 5000);
};
document.addEventListener("click", ({ target }) => {
  const line = target.closest?.("#generate") && document.getElementById("said");
  if (line) line.textContent = "";
});
