// Shows a comparison: a column for each variant, a row for each place of the second axis. A cell that looks the same as
// before stays as it is, with its picture, its focus and its place.
const cells = new Map(); // what is shown of each cell by its place: {cell, node, at}
let frame = null; // what the cells stand in: {node, head, acts, foot, shape}

// A comparison's cells come as JSON.
const read = (value) => (value?.cells ? { ...value, cells: value.cells.map((cell) => JSON.parse(cell)) } : value);
const placeOf = (cell) => (cell.variant === undefined ? cell.title : `${cell.variant} ${cell.row}`);
const rowOf = (view, cell) => view.rows.find((row) => row.number === cell.row);
const called = (view, cell) => [cell.title, rowOf(view, cell)?.title].filter(Boolean).join(", ");
const alike = (one, other) => JSON.stringify({ ...one, seconds: 0 }) === JSON.stringify({ ...other, seconds: 0 });

// With one variant alone, and while names are hidden, all cells flow in one group and say themselves what they are.
function groups(view) {
  if (view.columns.length < 2) return [{ title: "", cells: view.cells }];
  const at = (row, column) => view.cells.find((cell) => cell.row === row.number && cell.variant === column.variant);
  return view.rows.map((row) => ({ ...row, cells: view.columns.map((column) => at(row, column)) }));
}

const captionOf = (view, cell) => (view.columns.length === 1 ? rowOf(view, cell)?.title || cell.title : cell.title);

function goingText(cell, at) {
  const gone = cell.seconds + (performance.now() - at) / 1000;
  return cell.expected_seconds ? `${gone.toFixed(0)} s of about ${Math.round(cell.expected_seconds)} s` : `${gone.toFixed(0)} s`;
}

function tickBoard() {
  for (const { cell, node, at } of cells.values()) {
    const time = node.querySelector(".time");
    if (!time) continue;
    const words = goingText(cell, at);
    if (time.textContent !== words) time.textContent = words;
    const gone = cell.seconds + (performance.now() - at) / 1000;
    node.querySelector(".bar span").style.width = `${100 * (1 - Math.exp((-1.6 * gone) / (cell.expected_seconds || 20)))}%`;
  }
}

// Everything that can be done with a picture of a comparison.
function actionsOf(view, cell, entry) {
  const use = { label: "Use as reference", act: () => trigger("use", { run: cell.id, number: entry.number }) };
  const save = { label: "Download", href: download(entry), name: entry.name };
  const add = { label: "Add to a trial", act: () => window.kontext.trials.add(cell.id) };
  return [use, save, add, ...withOthers(cell, entry)];
}

function withOthers(run, entry) {
  return (run.with || []).map((offer) => {
    const { label, beside } = window.kontext.priced(offer.name, offer.variant, 1);
    const act = () => trigger("make_with", { run: run.id, number: entry.number, variant: offer.variant, beside });
    return { group: "Make it with", label, note: offer.note, disabled: !offer.possible, act };
  });
}

function lookAtCells(view, cell, number) {
  const rows = view.rows.map((row) => row.number);
  const pictures = view.cells.flatMap((each) => each.pictures.map((entry) => ({
    url: entry.image.url, alt: entry.alt, name: entry.name, cell: each, number: entry.number,
    label: view.hidden ? `Picture ${each.title}` : called(view, each), group: view.columns.length > 1 ? rows.indexOf(each.row) : 0,
    note: (each.receipt || []).join(" · "),
    actions: [
      view.hidden ? [`Choose ${each.title}`, (dialog) => { dialog.close(); choose(each); }] : null,
      view.hidden ? null : ["Download", download(entry)],
      view.hidden ? null : ["More …", () => window.kontext.menu(called(view, each), actionsOf(view, each, entry))],
    ].filter(Boolean),
  })));
  const references = view.references.map((entry) => ({ url: entry.image.url, alt: entry.label, label: entry.label }));
  window.kontext.lightbox(pictures, pictures.findIndex((each) => each.cell === cell && each.number === number), references);
}

const choose = (cell) => trigger("reveal", { run: cell.id, chosen: true });

function shots(view, cell) {
  const several = cell.pictures.length > 1;
  const taken = cell.pictures.map((entry) => h("button", {
    type: "button", class: "open", "aria-haspopup": "dialog", onclick: () => lookAtCells(lastRun, lastRun.cells.find((each) => each.id === cell.id), entry.number),
    "aria-label": `${view.hidden ? `Picture ${cell.title}` : called(view, cell)}${several ? `, picture ${entry.number}` : ""}: open at full size`,
  }, h("img", { src: entry.image.url, alt: entry.alt, width: entry.width, height: entry.height })));
  const coming = Array.from({ length: cell.finished ? 0 : cell.awaited }, () => h("div", { class: "coming", style: `aspect-ratio:${cell.shape || 1}` }));
  return h("div", { class: `shots count-${Math.min(4, taken.length + coming.length)}` }, taken, coming);
}

function under(view, cell, at) {
  const stage = (cell.stages || []).find((each) => each.state === "now");
  if (!cell.finished) {
    return view.hidden ? null : h("div", { class: "going" },
      h("div", { class: "bar", "aria-hidden": "true" }, h("span", {})),
      h("p", {}, h("span", {}, stage?.name || "Waiting"), " ", h("span", { class: "time" }, goingText(cell, at))),
      cell.notice && h("p", { class: "notice" }, cell.notice));
  }
  if (view.hidden) return cell.pictures.length ? h("button", { type: "button", class: "quiet pick", onclick: () => choose(cell) }, `Choose ${cell.title}`) : null;
  const more = () => window.kontext.menu(called(view, cell), actionsOf(view, cell, cell.pictures[0]));
  return h("div", { class: "foot" },
    h("p", {}, cell.receipt.map((part) => h("span", {}, part))),
    cell.pictures.length > 0 && h("button", { type: "button", class: "more", "aria-haspopup": "dialog", "aria-label": `More with ${called(view, cell)}`, title: "Use as reference, download, make it with …", onclick: more }, "⋯"));
}

function cellTrouble(cell) {
  return cell.troubles.map((entry) => h("div", { class: "cell-trouble" },
    h("b", {}, cell.pictures.length ? "Not all made" : "Not made"), h("p", {}, entry.happened),
    entry.charged && h("p", {}, entry.charged),
    entry.advice && h("details", {}, h("summary", {}, "What to do"), h("p", {}, entry.advice),
      entry.prediction_ids.map((id) => h("p", {}, h("code", {}, id))))));
}

function cellActs(view, cell) {
  const about = called(view, cell), press = (name, beside) => trigger(name, { run: cell.id, beside });
  return [
    cell.again && window.kontext.spender("Make again", cell.again, (beside) => press("again", beside), { class: "quiet", about }),
    cell.resume && h("button", { type: "button", class: "quiet", "aria-label": `${cell.resume}: ${about}`, onclick: () => press("resume") }, cell.resume),
  ];
}

const explains = (row) => (row?.prompt || row?.note) && h("p", { class: "wording" }, row.prompt || row.note);

function drawCell(view, cell, at) {
  const empty = cell.finished && !cell.pictures.length;
  return h("li", { class: `cell${cell.chosen ? " chosen" : ""}${empty ? " empty" : ""}`, "aria-label": view.hidden ? `Picture ${cell.title}` : called(view, cell), "aria-busy": String(!cell.finished) },
    h("p", { class: "cap" }, captionOf(view, cell), cell.chosen && h("span", { class: "mine" }, "Your choice")),
    view.columns.length === 1 ? explains(rowOf(view, cell)) : null,
    empty ? null : shots(view, cell), cellTrouble(cell), cellActs(view, cell), under(view, cell, at));
}

function head(view) {
  const told = [
    h("div", { class: "tally" },
      h("p", {}, h("b", {}, view.tally[0]), h("span", {}, view.tally[1])),
      view.finished ? null : h("div", { class: "bar", role: "progressbar", "aria-label": "Done", "aria-valuemin": "0", "aria-valuemax": String(view.cells.length), "aria-valuenow": String(view.done) },
        h("span", { style: `width:${(100 * view.done) / view.cells.length}%` }))),
    ...(view.refused || []).map(trouble),
    view.notice && h("p", { class: "notice" }, view.notice),
    view.choice && h("p", { class: "choice" }, view.choice),
  ];
  return told.filter(Boolean);
}

function acts(view) {
  const act = (name, label) => h("button", { type: "button", class: "quiet", onclick: () => trigger(name, { run: view.id }) }, label);
  const wide = () => { document.documentElement.classList.toggle("kontext-wide"); patch(frame.acts, acts(lastRun)); };
  const isWide = document.documentElement.classList.contains("kontext-wide");
  const made = view.cells.some((cell) => cell.pictures.length);
  const buttons = [
    view.hidden ? act("reveal", "Show names") : !view.sealed && act("hide", "Hide names"),
    h("button", { type: "button", class: "quiet widen", "aria-pressed": String(isWide), onclick: wide }, isWide ? "Narrow view" : "Wide view"),
    view.finished ? null : act("stop", "Stop waiting"),
    view.finished ? null : notifyMe(),
    view.finished && made && !view.hidden && act("sheet", "Contact sheet"),
    view.finished && h("button", { type: "button", class: "quiet", onclick: () => window.kontext.trials.add(view.id) }, "Add to a trial"),
    view.finished && made && !view.hidden && act("archive", "Download all"),
  ];
  return buttons.filter(Boolean);
}

// What looks the same is left where it is: a hand may be about to press it.
function patch(parent, nodes) {
  const before = [...parent.children];
  nodes.forEach((node, at) => {
    if (!before[at]) parent.append(node);
    else if (!before[at].isEqualNode(node)) before[at].replaceWith(node);
  });
  for (const gone of before.slice(nodes.length)) gone.remove();
}

function foot(view) {
  return [view.finished ? window.kontext.label(view, (label) => trigger("mark", label)) : null, made(view), drawStrip()].filter(Boolean);
}

// What the cells stand in: made anew only where there are other cells, or they have other names.
function frameOf(view) {
  const group = (each) => h("section", { class: "board-row", "aria-label": each.title || null },
    each.title && h("h3", {}, each.title), explains(each),
    h("ol", { class: "cells" }, each.cells.map((cell) => (cell ? cells.get(placeOf(cell)).node : h("li", { class: "cell gone" }, "No longer kept")))));
  const several = view.columns.length > 1;
  const node = h("div", { class: `board${several ? " columns" : ""}${view.hidden ? " hidden-names" : ""}`, style: `--columns:${several ? view.columns.length : Math.min(view.cells.length, 4)}` },
    h("div", { class: "board-top" }, h("div", { class: "board-head" }), h("div", { class: "board-acts" })),
    several && h("div", { class: "names", "aria-hidden": "true" }, view.columns.map((column) => h("b", {}, column.name))),
    groups(view).map(group), h("div", { class: "board-foot" }));
  const [head, acts, foot] = ["head", "acts", "foot"].map((part) => node.querySelector(`.board-${part}`));
  return { node, head, acts, foot, shape: shapeOf(view) };
}

const shapeOf = (view) => JSON.stringify([view.id, view.hidden, view.columns, view.rows, view.cells.map(placeOf)]);

// Where shapes differ, all stand in a square while names are hidden.
const sameShape = (view) => new Set(view.cells.flatMap((cell) => cell.pictures.map((entry) => (entry.width / entry.height).toFixed(2)))).size === 1;

function drawBoard(view) {
  const anew = !frame || frame.shape !== shapeOf(view) || !frame.node.isConnected;
  if (anew) cells.clear();
  const at = performance.now();
  window.kontext.redraw(root, () => {
    for (const cell of view.cells) {
      const known = cells.get(placeOf(cell));
      if (known && alike(known.cell, cell)) continue;
      const node = drawCell(view, cell, at);
      known?.node.replaceWith(node);
      cells.set(placeOf(cell), { cell, node, at });
    }
    if (anew) { frame = frameOf(view); root.replaceChildren(frame.node); }
    frame.node.style.setProperty("--shape", sameShape(view) ? "auto" : "1");
    patch(frame.head, head(view));
    patch(frame.acts, acts(view));
    patch(frame.foot, foot(view));
  });
}
