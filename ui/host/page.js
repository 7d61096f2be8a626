// The host's page. What comes from the app is put up as text alone: a name may hold anything.
const EACH = 5000; // ms between looks, while somebody looks
const at = (id) => document.getElementById(id);
const states = { open: "Open", paused: "Paused", ended: "Ended" };
let asked = 0;

function h(tag, given = {}, ...inside) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...inside.flat(2).filter((one) => one !== null && one !== undefined && one !== ""));
  return node;
}

const amount = (text, css = "amount") => h("span", { class: css }, text);
const bar = (share, label) => {
  const inner = h("span");
  inner.style.width = `${Math.min(1, share) * 100}%`;
  return h("span", { class: share >= 1 ? "bar full" : "bar", role: "img", "aria-label": label }, inner);
};
const card = (title, ...inside) => h("section", { class: "card" }, h("h2", {}, title), inside.flat());
const quiet = (text) => h("p", { class: "small" }, text);
const when = (iso) => new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

// asking

async function ask(what, said) {
  const post = said && { method: "POST", body: JSON.stringify(said) };
  const headers = { "Content-Type": "application/json", "X-Kontext-Host": "1" };
  const answer = await fetch(`host/api/${what}`, { ...post, headers, cache: "no-store" });
  const told = await answer.json().catch(() => ({ error: "The app's answer can't be read." }));
  if (answer.status === 401) out();
  if (!answer.ok) throw new Error(told.error || "That didn't work.");
  return told;
}

async function look() {
  const mine = ++asked;
  try {
    const told = await ask("overview");
    if (mine === asked) show(told);
  } catch (error) {
    if (!at("page").hidden) say(error instanceof TypeError ? "The app can't be reached. Trying again…" : error.message);
  }
}

async function act(what, said) {
  ++asked; // whatever was asked before is old when it comes
  const told = await ask(what, said);
  ++asked;
  show(told.overview);
  if (told.code) made(told);
}

const pressed = (what, said) => () => act(what, said).catch((error) => say(error.message));

// in and out

function out() {
  at("door").hidden = false;
  at("page").hidden = at("top").hidden = true;
  at("page").querySelectorAll("#spent, #by, #lower").forEach((part) => part.replaceChildren());
}

at("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    await ask("enter", { passcode: form.passcode.value });
    form.reset();
    at("wrong").textContent = "";
    await look();
  } catch (error) {
    at("wrong").textContent = error.message;
    form.passcode.select();
  }
});
at("leave").addEventListener("click", () => ask("leave", {}).finally(() => location.reload()));

// showing

function say(words) {
  at("note").textContent = words;
}

function show(told) {
  at("door").hidden = true;
  at("page").hidden = at("top").hidden = false;
  say("");
  showPause(told.pause);
  at("spent").replaceChildren(...spent(told));
  at("by").replaceChildren(...told.by.map(byTable));
  put(at("lower"), [
    ["invitations", invitations(told.invitations)],
    ["service", service(told)],
    ["reasons", reasons(told.reasons)],
    ["trials", trials(told.trials)],
    ["disk", disk(told.disk)],
    ["drift", drift(told)],
  ]);
}

// A section in which somebody is at work stays as it is, but for what it only shows.
function put(place, sections) {
  for (const [name, section] of sections) {
    section.dataset.name = name;
    const old = place.querySelector(`:scope > [data-name=${name}]`);
    if (!old) place.append(section);
    else if (!old.contains(document.activeElement)) {
      const form = old.querySelector("details");
      if (form) section.querySelector("details").replaceWith(form);
      old.replaceWith(section);
    } else old.querySelector(".rows")?.replaceWith(section.querySelector(".rows") ?? "");
  }
}

function showPause(pause) {
  document.body.classList.toggle("paused", pause.on);
  at("state").textContent = pause.on ? "Paused" : "Spending";
  at("pause-title").textContent = pause.on ? "Spending is paused" : "Spending is on";
  at("pause-words").textContent = pause.fixed
    ? "KONTEXT_PAUSED is set. Take it away and restart to go on."
    : pause.on
      ? `Since ${when(pause.since)}. Pictures that were sent still come. Practice and visitors' own keys go on.`
      : "Pausing stops everything new on your key at once. Pictures that were sent still come.";
  at("pause").textContent = pause.on ? "Resume spending" : "Pause spending";
  at("pause").className = pause.on ? "main" : "warn";
  at("pause").hidden = pause.fixed;
  at("pause").onclick = pressed("pause", { on: !pause.on });
}

function spent(told) {
  const figures = told.periods.map((one) =>
    h("div", { class: "figure" }, h("h2", {}, one.name), amount(one.spent, "big"),
      one.cap ? [bar(one.share, `${one.spent} ${one.cap}`), quiet(`${one.cap} · ${one.runs}`)] : quiet(one.runs)));
  const days = told.days.map(([day, sum, share]) => {
    const column = h("span");
    column.style.height = `${Math.max(share * 100, 2)}%`;
    return h("span", { class: share ? "day" : "day none", title: `${day}: ${sum}` }, column);
  });
  const least = told.days[0][0], most = told.days.at(-1)[0];
  return [
    h("div", { class: "card figures" }, figures,
      h("figure", {}, h("div", { class: "days", role: "img", "aria-label": `Spent on each day from ${least} to ${most} (UTC)` }, days),
        h("figcaption", {}, `${least} – ${most}, days in UTC`))),
    h("p", { class: "small aside" }, told.reserved === "$0.00" ? "" : `${told.reserved} of it is reserved: not charged yet.`,
      told.own.some((one) => one.spent !== "$0.00")
        ? ` Not yours, and not counted: visitors' own keys paid ${told.own.map((one) => `${one.spent} (${one.name.toLowerCase()})`).join(", ")}.` : ""),
  ];
}

function byTable({ title, rows }) {
  const head = h("tr", {}, h("th", { scope: "col" }, title), ["Today", "7 days", "30 days"].map((name) => h("th", { scope: "col" }, name)));
  const body = rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.name), row.spent.map((sum) => h("td", {}, sum))));
  const nothing = h("tr", {}, h("td", { colspan: 4, class: "small" }, "Nothing in 30 days"));
  return h("section", { class: "card" }, h("table", {}, h("thead", {}, head), h("tbody", {}, body.length ? body : nothing)));
}

function service(told) {
  const { at_service: going, in_line: line } = told.now;
  return card("At the service",
    told.balance
      ? h("div", { class: "rows" }, told.balance.left && amount(told.balance.left, "big"), quiet(told.balance.left ? `left: about ${told.balance.pictures}` : told.balance.pictures))
      : quiet("No key: everything is practice."),
    h("p", {}, `${going} ${going === 1 ? "picture" : "pictures"} in the making · ${line} in line`));
}

function reasons(found) {
  const rows = found.map((one) => h("li", {}, h("span", { class: "count" }, String(one.runs)), h("span", {}, one.happened, quiet(`last ${when(one.last)}`))));
  return card("What went wrong in 7 days", rows.length ? h("ul", { class: "rows" }, rows) : quiet("Nothing."));
}

function invitations(found) {
  const rows = found.map((one) => {
    const acts = one.state === "ended" ? [] : [
      button(one.state === "paused" ? "Resume" : "Pause", one, one.state === "paused" ? "resume" : "pause"),
      button("New link", one, "new code", `“${one.name}” gets a new link. The old one stops working.`),
      button("End", one, "end", `“${one.name}” spends nothing more, ever.`),
    ];
    return h("li", { class: one.state },
      h("div", { class: "who" }, h("b", {}, one.name), h("span", { class: "chip" }, states[one.state])),
      bar(one.share, `${one.used} used`),
      quiet([one.left, one.renews, one.until].filter(Boolean).join(" · ")),
      acts.length ? h("p", { class: "acts" }, acts) : null);
  });
  return card("Invitations", rows.length ? h("ul", { class: "rows invitations" }, rows) : h("p", { class: "rows small" }, "None yet. A guest with one spends from it, in every browser and program."), invite());
}

function button(words, one, what, confirmed) {
  const press = pressed("invitation", { name: one.name, do: what });
  return h("button", { type: "button", "aria-label": `${words}: ${one.name}`, onclick: () => (!confirmed || confirm(confirmed)) && press() }, words);
}

function invite() {
  const field = (label, given, css = "") => h("label", { class: css }, label, h("input", given));
  const renews = h("select", { name: "renews" }, ["never", "daily", "weekly", "monthly"].map((one) => h("option", { value: one }, one)));
  const wrong = h("p", { role: "alert", class: "wrong" });
  const form = h("form", { onsubmit: async (event) => {
    event.preventDefault();
    const { name, usd, days } = form.elements;
    try {
      await act("invite", { name: name.value, usd: usd.value, renews: renews.value, days: days.value });
      form.reset();
      wrong.textContent = "";
    } catch (error) {
      wrong.textContent = error.message;
    }
  } },
  field("Name, for you", { name: "name", maxlength: 80, required: true, autocomplete: "off" }, "wide"),
  field("USD", { name: "usd", inputmode: "decimal", placeholder: "2.00", required: true, autocomplete: "off" }),
  h("label", {}, "Renews", renews),
  field("Ends after days", { name: "days", inputmode: "numeric", placeholder: "never", autocomplete: "off" }),
  h("button", { class: "main" }, "Invite"), wrong);
  return h("details", {}, h("summary", {}, "New invitation"), form);
}

function made({ name, code }) {
  at("made-title").textContent = `Invitation for ${name}`;
  at("link").value = new URL(`./#invite=${code}`, location.href).href;
  at("code").value = code;
  at("copy").textContent = "Copy link";
  at("made").showModal();
  at("link").select();
}
at("copy").addEventListener("click", async () => {
  at("link").select();
  await navigator.clipboard?.writeText(at("link").value).then(() => { at("copy").textContent = "Copied"; }, () => document.execCommand("copy"));
});
at("close").addEventListener("click", () => at("made").close());
at("made").addEventListener("close", () => { at("link").value = at("code").value = ""; });

function trials(found) {
  const rows = found.map((one) => h("li", {}, h("div", { class: "who" }, h("b", {}, one.title), h("span", { class: "chip" }, one.state)), quiet(`${one.spent} · ${one.made}`)));
  return card("Trials", rows.length ? h("ul", { class: "rows" }, rows) : quiet("None yet."));
}

function disk(found) {
  const rows = found.parts.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name, quiet(one.most)), h("td", {}, one.size)));
  return card("Disk", amount(found.total, "big"), found.most && [bar(found.share, `${found.total} ${found.most}`), quiet(found.most)], h("table", { class: "rows" }, h("tbody", {}, rows)));
}

function drift({ drift: lines, unknown }) {
  const rows = lines.map((line) => h("li", {}, line));
  return card("What the service says",
    quiet(unknown.runs ? `${unknown.words} in 30 days that are not in the records. They count as spent.` : "Its history holds no picture that is not in the records."),
    rows.length ? h("ul", { class: "rows" }, rows) : quiet("Its catalogue agrees with this app, as far as is known."));
}

look();
setInterval(() => document.hidden || at("page").hidden || look(), EACH);
document.addEventListener("visibilitychange", () => document.hidden || at("page").hidden || look());
