// The reference gallery. The cards live in props.value and change only here; the server prepares pictures and
// answers for one at a time, so that no slow answer can undo what the person did meanwhile.
const { h, redraw } = window.kontext;
const root = element.querySelector(".references");
const list = root.querySelector(".cards");
const count = root.querySelector(".count");
const notes = root.querySelector(".notes");
const live = root.querySelector(".live");
const picker = root.querySelector("input.pick");
const camera = root.querySelector("input.camera");

const ASKS = "What for?";

let waiting = []; // pictures on their way: {name, preview}
let dragged = null;

const cards = () => props.value || [];
const title = (card, index) => `Reference ${index + 1}, ${card.name}`;

function commit(next, said) {
  props.value = next;
  if (said) live.textContent = said;
  draw();
  trigger("change");
}

// `held` is what of the card stays in focus, as a selector.
function move(from, to, held) {
  if (to < 0 || to >= cards().length || from === to) return;
  const next = [...cards()];
  const [card] = next.splice(from, 1);
  next.splice(to, 0, card);
  commit(next, `${card.name} is now reference ${to + 1} of ${next.length}.`);
  if (held) (list.children[to].querySelector(`${held}:enabled`) || list.children[to].querySelector(".grip")).focus();
}

function remove(index) {
  const next = cards().filter((_, at) => at !== index);
  commit(next, `Reference ${index + 1} removed. ${next.length} left.`);
  const neighbour = list.children[Math.min(index, next.length - 1)];
  if (neighbour && next.length) neighbour.querySelector(".grip").focus();
}

function setRole(index, role) {
  commit(cards().map((card, at) => (at === index ? { ...card, role } : card)));
}

function note(text, kind) {
  const close = h("button", { type: "button", "aria-label": "Dismiss", onclick: () => line.remove() }, "×");
  const line = h("p", { class: `note ${kind || ""}` }, h("span", {}, text), close);
  notes.append(line);
}

function offer(text, action, act) {
  const line = h("p", { class: "note offer" }, h("span", {}, text), h("button", { type: "button", class: "act", onclick: () => { line.remove(); act(); } }, action));
  notes.append(line);
}

// A new card takes the first role of the preset that no card has yet.
function nextRole(taken) {
  return (props.deal || []).find((role) => !taken.includes(role)) || null;
}

const card = (answer, name) => ({ image: answer.image, name, role: nextRole(cards().map((other) => other.role)) });

const asArrival = (source) => (source instanceof File
  ? { name: source.name || "pasted picture", file: source, preview: URL.createObjectURL(source) }
  : { name: nameAt(source), address: source });

// The last part of an address is mostly the file's name.
function nameAt(address) {
  const { pathname, hostname } = new URL(address);
  try { return decodeURIComponent(pathname.split("/").pop()) || hostname; } catch { return hostname; }
}

// `sources` are files, or addresses of pictures on the web, which the server fetches.
async function add(sources) {
  notes.replaceChildren();
  const pictures = [...sources];
  const room = props.most - cards().length - waiting.length;
  if (pictures.length > room) {
    const out = pictures.splice(Math.max(room, 0)).map((source) => asArrival(source).name);
    note(`Up to ${props.most} pictures. Not added: ${out.join(", ")}`);
  }
  const arrivals = pictures.map(asArrival);
  waiting.push(...arrivals);
  draw();
  const first = cards().length + 1;
  const prepared = arrivals.map((arrival, at) => bring(arrival, first + at));
  // One after another into the list, in the order they were dropped, however fast each upload is.
  for (const [at, pending] of prepared.entries()) {
    const answer = await pending;
    await window.kontext.draftBack;
    waiting = waiting.filter((arrival) => arrival !== arrivals[at]);
    URL.revokeObjectURL(arrivals[at].preview);
    if (answer.recipe && cards().length === 0) {
      // Onto an empty table: the file brings all its inputs back.
      trigger("input", { recipe: answer.recipe });
      offer("Settings restored from this picture.", "Use it as a reference instead", () => commit([card(answer, arrivals[at].name)]));
    } else if (answer.image) {
      commit([...cards(), card(answer, arrivals[at].name)], `${arrivals[at].name} added as reference ${cards().length + 1}.`);
      if (answer.recipe) offer("This picture has its settings inside.", "Reuse these settings", () => trigger("input", { recipe: answer.recipe }));
    } else {
      note(answer.refused, "refused");
      draw();
    }
  }
}

async function bring(arrival, number) {
  const lost = { refused: `${arrival.name} did not arrive. Nothing was charged. Check your connection and drop it again.` };
  if (arrival.file?.size > props.largest) return { refused: `${arrival.name} is larger than ${Math.round(props.largest / 1048576)} MB. Nothing was charged. Save it smaller and drop it again.` };
  try {
    if (arrival.address) return (await server.prepare_reference({ address: arrival.address, number, name: arrival.name })) || lost;
    // A name of its own, so that the server may delete the original without taking anybody else's.
    const ending = arrival.name.includes(".") ? arrival.name.slice(arrival.name.lastIndexOf(".")).replace(/[^.a-z0-9]/gi, "") : "";
    const name = `drop-${Math.random().toString(36).slice(2)}${ending}`;
    const sent = await upload(new File([arrival.file], name, { type: arrival.file.type }));
    return (await server.prepare_reference({ path: sent.path, number, name: arrival.name })) || lost;
  } catch (fault) {
    // Where the app itself refuses an upload, its answer is inside the fault: "HTTP 507: {…}".
    const answer = /HTTP \d+: (\{.*\})/s.exec(fault?.message ?? fault);
    return answer ? { refused: `${arrival.name}: ${JSON.parse(answer[1]).error}` } : lost;
  }
}

function drawCard(card, index) {
  const grip = h("button", {
    type: "button", class: "grip", "aria-label": `${title(card, index)}. Left and right arrow keys move it, Delete removes it.`,
    title: "Drag to reorder, or use the arrow keys",
    onkeydown: (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (step) { event.preventDefault(); move(index, index + step, ".grip"); }
      if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); remove(index); }
    },
  }, String(index + 1));
  const button = (glyph, label, act, off, kind) => h("button", { type: "button", class: kind, "aria-label": label, title: label, disabled: off, onclick: act }, glyph);
  const chosen = props.roles.find((role) => role.id === card.role)?.label;
  const roles = h("select", { "aria-label": `Role of reference ${index + 1}`, title: chosen || "What is this picture for?", onchange: (event) => setRole(index, event.target.value) },
    h("option", { value: "" }, ASKS),
    props.roles.map((role) => h("option", { value: role.id, title: role.meaning, selected: role.id === card.role }, role.label)));
  // A select cuts what is too long for its line, so its words stand under it, where they can take a second one.
  const role = h("div", { class: chosen ? "role" : "role asks" }, h("span", { "aria-hidden": "true" }, chosen || ASKS), roles);
  return h("li", {
    class: "card", draggable: "true",
    ondragstart: (event) => { dragged = index; event.dataTransfer.effectAllowed = "move"; event.dataTransfer.setData("text/plain", ""); },
    ondragend: () => { dragged = null; draw(); },
    ondragover: (event) => { if (dragged !== null) { event.preventDefault(); event.currentTarget.classList.add("target"); } },
    ondragleave: (event) => event.currentTarget.classList.remove("target"),
    ondrop: (event) => { if (dragged !== null) { event.preventDefault(); event.stopPropagation(); move(dragged, index); dragged = null; } },
  },
    h("div", { class: "frame" },
      h("img", { src: card.image.url, alt: title(card, index), draggable: "false" }), grip,
      h("div", { class: "tools" },
        button("‹", `Move reference ${index + 1} left`, () => move(index, index - 1, ".less"), index === 0, "less"),
        button("›", `Move reference ${index + 1} right`, () => move(index, index + 1, ".more"), index === cards().length - 1, "more"),
        button("×", `Remove reference ${index + 1}`, () => remove(index)))),
    role);
}

function drawWaiting(arrival) {
  return h("li", { class: "card waiting" }, h("div", { class: "frame" },
    arrival.preview && h("img", { src: arrival.preview, alt: "", onerror: (event) => event.target.remove() }), h("span", { class: "spinner" })),
    h("span", { class: "preparing" }, "Preparing …"));
}

function drawAdd() {
  const empty = cards().length + waiting.length === 0;
  return h("li", { class: empty ? "add wide" : "add" },
    h("button", { type: "button", onclick: () => picker.click() },
      h("span", { class: "plus", "aria-hidden": "true" }, "+"),
      h("span", {}, empty ? "Choose photos" : "Add"),
      empty && h("small", {}, `Up to ${props.most}. iPhone photos (HEIC) work too.`)),
    h("button", { type: "button", class: "snap", onclick: () => camera.click() }, "Take a photo"));
}

function draw() {
  const limit = props.limit;
  const more = cards().length + waiting.length < props.most;
  redraw(list, () => list.replaceChildren(...cards().map(drawCard), ...waiting.map(drawWaiting), ...(more ? [drawAdd()] : [])));
  count.textContent = cards().length > limit ? `${cards().length - limit} too many for ${props.variant}` : `${cards().length} of ${limit}`;
  count.classList.toggle("over", cards().length > limit);
}

for (const input of [picker, camera]) {
  input.addEventListener("change", () => { add(input.files); input.value = ""; });
}

// Drop works on the whole page, so that nobody has to aim; what is typed into takes text as text.
const carries = (event, kind) => [...(event.dataTransfer?.types || [])].includes(kind);
const carriesFiles = (event) => carries(event, "Files");
const carriesPicture = (event) => carries(event, "application/x-kontext-picture"); // of a result of this page
const carriesAddress = (event) => carries(event, "text/uri-list") && !takesText(event);
const takesText = (event) => Boolean(event.target.closest?.("input, textarea, [contenteditable=true]"));
const isAddress = (text) => /^https?:\/\/\S+$/i.test(text) && URL.canParse(text) && new URL(text).origin !== location.origin;

// A picture dragged from another site is a link to whatever it leads to; the picture itself stands in the HTML.
function addressIn(transfer) {
  const page = new DOMParser().parseFromString(transfer.getData("text/html"), "text/html");
  const found = [page.querySelector("img")?.getAttribute("src"), transfer.getData("text/uri-list").split(/\r?\n/).find((line) => !line.startsWith("#"))];
  return found.find((address) => isAddress(address || ""));
}

document.addEventListener("dragover", (event) => {
  if (carriesFiles(event) || carriesPicture(event) || carriesAddress(event)) { event.preventDefault(); root.classList.add("inviting"); }
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) root.classList.remove("inviting"); });
document.addEventListener("drop", (event) => {
  root.classList.remove("inviting");
  if (carriesPicture(event)) { event.preventDefault(); window.kontext.dropped?.(); return; }
  const files = carriesFiles(event) ? [...event.dataTransfer.files] : [];
  const address = !files.length && carriesAddress(event) && addressIn(event.dataTransfer);
  if (!files.length && !address) return;
  event.preventDefault();
  if (root.checkVisibility()) add(files.length ? files : [address]); // another page may be in front
});
document.addEventListener("paste", (event) => {
  const pictures = [...(event.clipboardData?.files || [])];
  const text = (event.clipboardData?.getData("text/plain") || "").trim();
  const address = !takesText(event) && isAddress(text);
  if (!root.checkVisibility() || (!pictures.length && !address)) return; // text goes where the cursor is
  event.preventDefault();
  add(pictures.length ? pictures : [text]);
});

watch(["value", "limit", "variant", "deal"], draw);
draw();
