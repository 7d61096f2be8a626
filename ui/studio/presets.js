// The preset picker. Closed it is one line; open it is a sheet beside the form, or the whole screen of a phone.
const { h } = window.kontext;
const root = element.querySelector(".presets");
const chosen = root.querySelector(".chosen");
const dialog = root.querySelector("dialog");
const find = root.querySelector(".find");
const tiles = root.querySelector(".tiles");
const count = root.querySelector(".count");

const NONE = { id: "", name: "No preset", summary: "Write the prompt in your own words.", roles: [] };
const current = () => props.tiles.find((tile) => tile.id === props.value);
const wants = (tile) => tile.roles.map((role) => (role.optional ? `${role.label} (optional)` : role.label)).join(", ");
const picture = (tile) => (tile.sample ? h("img", { src: tile.sample, alt: "", loading: "lazy", width: 360, height: 240 }) : h("span", { class: "blank", "aria-hidden": "true" }, "Aa"));

function drawChosen() {
  const tile = current();
  const focused = chosen.contains(document.activeElement);
  chosen.replaceChildren(...[
    h("button", { type: "button", class: "open", "aria-haspopup": "dialog", "aria-expanded": String(dialog.open), "aria-label": tile ? `Preset: ${tile.name}. Change` : "Choose a preset", "aria-description": tile?.summary, onclick: open },
      tile ? picture(tile) : h("span", { class: "mark", "aria-hidden": "true" }),
      h("span", { class: "words" }, h("b", {}, tile ? tile.name : "Choose a preset"), h("small", {}, tile ? tile.summary : "Optional. Fills in a prompt you can edit.")),
      h("span", { class: "change", "aria-hidden": "true" }, tile ? "Change" : "Browse")),
    tile && h("button", { type: "button", class: "clear", "aria-label": "Remove the preset", title: "Remove the preset", onclick: () => choose("") }, "×"),
  ].filter(Boolean));
  if (focused) chosen.querySelector(".open").focus();
}

function drawTile(tile) {
  const here = (props.value || "") === tile.id;
  return h("div", {
    class: "tile", role: "option", tabindex: "-1", "data-id": tile.id, "aria-selected": String(here), "aria-label": tile.name,
    "aria-description": [tile.summary, tile.roles.length && `Pictures: ${wants(tile)}`].filter(Boolean).join(" "),
    onclick: () => choose(tile.id),
  }, picture(tile), h("b", {}, tile.name), h("small", {}, tile.summary),
  tile.roles.length > 0 && h("ul", { class: "roles" }, tile.roles.map((role) => h("li", { class: role.optional ? "optional" : "" }, role.label, role.optional && h("i", {}, " optional")))));
}

function drawTiles() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (tile) => words.every((word) => `${tile.name} ${tile.summary} ${wants(tile)} ${props.families[tile.family] || ""}`.toLowerCase().includes(word));
  const group = (id, label, members) => members.length > 0 && h("div", { role: "group", "aria-label": label }, h("h3", { "aria-hidden": "true" }, label), h("div", { class: "grid" }, members.map(drawTile)));
  const found = Object.entries(props.families).map(([id, label]) => group(id, label, props.tiles.filter((tile) => tile.family === id && fits(tile))));
  const none = fits(NONE) && h("div", { role: "group", "aria-label": "Without" }, h("div", { class: "grid" }, drawTile(NONE)));
  tiles.replaceChildren(...[none, ...found].filter(Boolean));
  const all = options();
  if (all.length) reach(all.find((tile) => tile.getAttribute("aria-selected") === "true") || all[0]);
  count.textContent = !words.length ? "" : all.length ? `${all.length} found` : `Nothing found for “${find.value.trim()}”.`;
}

const options = () => [...tiles.querySelectorAll(".tile")];

// Tab comes to one tile; arrow keys go from there.
function reach(tile, focus) {
  for (const other of options()) other.tabIndex = other === tile ? 0 : -1;
  if (focus) { tile.focus(); tile.scrollIntoView({ block: "nearest" }); }
}

// The nearest tile above or below, as the eye goes; left and right go by reading order.
function beside(tile, key) {
  const all = options();
  const at = all.indexOf(tile);
  if (key === "ArrowLeft") return all[at - 1];
  if (key === "ArrowRight") return all[at + 1];
  if (key === "Home") return all[0];
  if (key === "End") return all.at(-1);
  const corner = (node) => { const box = node.getBoundingClientRect(); return [box.x, box.y]; };
  const [x, y] = corner(tile);
  const down = key === "ArrowDown" ? 1 : -1;
  return all.filter((other) => (corner(other)[1] - y) * down > 4)
    .sort((one, other) => distance(one) - distance(other))[0];
  function distance(other) { const [ox, oy] = corner(other); return Math.abs(oy - y) * 4 + Math.abs(ox - x); }
}

function open() {
  find.value = "";
  drawTiles();
  dialog.showModal();
  drawChosen();
  const here = tiles.querySelector("[aria-selected=true]");
  if (matchMedia("(pointer: coarse)").matches) reach(here, true); // a keyboard would cover the tiles
  else find.focus();
  here.scrollIntoView({ block: "nearest" });
}

function choose(id) {
  dialog.close();
  if (!id && !props.value) return; // any other is written anew, even the one that is there
  props.value = id || null;
  drawChosen();
  trigger("input");
}

tiles.addEventListener("keydown", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile) return;
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(tile.dataset.id); return; }
  if (!/^(Arrow|Home|End)/.test(event.key)) return;
  event.preventDefault();
  const next = beside(tile, event.key);
  if (next) reach(next, true);
  else if (event.key === "ArrowUp") find.focus();
});
find.addEventListener("input", drawTiles);
find.addEventListener("keydown", (event) => {
  const [first] = options();
  if (!first) return;
  if (event.key === "ArrowDown") { event.preventDefault(); reach(first, true); }
  if (event.key === "Enter" && find.value.trim()) { event.preventDefault(); choose(first.dataset.id); }
});
root.querySelector(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => { drawChosen(); chosen.querySelector(".open").focus({ preventScroll: true }); });

watch("value", drawChosen);
drawChosen();
