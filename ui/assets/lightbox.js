// Pictures at full size: one at a time, flipped in place, or side by side; zoom and pan stay in step between all of them
// and any reference. One dialog for the page: Escape and the browser's Back close it, and the focus returns to where it
// was.
window.kontext.lightbox = (() => {
  const { h } = window.kontext;
  const NEAREST = 8; // times its size on the screen
  const SWIPE = 60; // px
  const TAP = 4; // px that a finger may tremble
  const MOST = 4; // side by side
  let shown = null; // {pictures, references, index, reference}
  let beside = false; // several at once; kept from one opening to the next
  let view = { scale: 1, x: 0, y: 0 };
  let goingBack = false; // the browser was asked to, and has not done so yet
  const fingers = new Map(); // pointer id -> where it began and is, and on what

  const stage = h("div", { class: "stage" });
  const caption = h("p", { class: "caption", "aria-live": "polite" });
  const flips = h("div", { class: "flips", role: "group", "aria-label": "Compare with a reference" });
  const acts = h("div", { class: "acts" });
  const side = (step, label, glyph) => h("button", { type: "button", class: `side ${step < 0 ? "left" : "right"}`, "aria-label": label, onclick: () => go(step) }, glyph);
  const previous = side(-1, "Previous picture", "‹");
  const next = side(1, "Next picture", "›");
  const both = h("button", { type: "button", class: "both", onclick: () => { beside = !beside; draw(); } }, "Side by side");
  const close = h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => dialog.close() }, "×");
  const dialog = h("dialog", { class: "lightbox", "aria-label": "Picture at full size" },
    stage, previous, next, close, h("footer", {}, caption, flips, both, acts));

  const images = () => [...stage.querySelectorAll("img")];

  function place() {
    for (const image of images()) image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    stage.classList.toggle("near", view.scale > 1);
  }

  // The same spot of every picture: where the pointer is in the one that it is over.
  function zoom(scale, at) {
    const to = Math.min(NEAREST, Math.max(1, scale));
    const panes = [...stage.children].map((pane) => pane.getBoundingClientRect());
    const box = (at && panes.find((pane) => at.clientX >= pane.left && at.clientX <= pane.right && at.clientY >= pane.top && at.clientY <= pane.bottom)) || panes[0];
    const [x, y] = at ? [at.clientX - box.x - box.width / 2, at.clientY - box.y - box.height / 2] : [0, 0];
    // What lies under the pointer stays there.
    view = to === 1 ? { scale: 1, x: 0, y: 0 }
      : { scale: to, x: x - ((x - view.x) * to) / view.scale, y: y - ((y - view.y) * to) / view.scale };
    place();
  }

  const reference = () => (shown.reference === null ? null : shown.references[shown.reference]);

  // Those of the same row, as many as have room; the one that was opened is among them.
  function together() {
    const row = shown.pictures.filter((picture) => picture.group === shown.pictures[shown.index].group);
    const from = row.length <= MOST ? 0 : Math.floor(row.indexOf(shown.pictures[shown.index]) / MOST) * MOST;
    return [reference(), ...row.slice(from, from + MOST)].filter(Boolean);
  }

  const several = () => shown.pictures.length > 1 && shown.pictures.some((picture) => picture.group !== undefined);

  function pane(entry, named) {
    return h("div", { class: "pane" }, h("img", { src: entry.url, alt: entry.alt, draggable: "false" }), named && h("p", {}, entry.label));
  }

  function draw() {
    const picture = shown.pictures[shown.index], flipped = reference(), wide = beside && several();
    const entries = wide ? together() : [flipped || picture];
    // A picture that is there already changes in place, so that a flip does not blink.
    if (!wide && stage.children.length === 1 && !stage.querySelector("p")) Object.assign(stage.querySelector("img"), { src: entries[0].url, alt: entries[0].alt });
    else stage.replaceChildren(...entries.map((entry) => pane(entry, wide)));
    stage.style.setProperty("--panes", entries.length);
    place();
    const called = picture.label || (shown.pictures.length > 1 ? `Picture ${shown.index + 1} of ${shown.pictures.length}` : "Picture");
    caption.textContent = flipped && !wide ? `${flipped.label} · press again for the picture` : [called, picture.note].filter(Boolean).join(" · ");
    drawControls(picture, wide);
    // The neighbours are there before they are flipped to.
    for (const step of [-1, 1]) new Image().src = shown.pictures[at(step)].url;
  }

  function drawControls(picture, wide) {
    flips.replaceChildren(...shown.references.map((entry, number) => h("button", {
      type: "button", "aria-pressed": String(number === shown.reference), title: entry.label, "aria-label": `Before and after: ${entry.label}`,
      onclick: () => flip(number),
    }, h("img", { src: entry.url, alt: "" }))));
    acts.replaceChildren(...picture.actions.map(([label, act]) => typeof act === "string"
      ? h("a", { class: "button", href: act, download: picture.name }, label)
      : h("button", { type: "button", onclick: () => act(dialog) }, label)));
    acts.hidden = wide;
    both.hidden = !several();
    both.setAttribute("aria-pressed", String(wide));
    previous.hidden = next.hidden = shown.pictures.length < 2 || (wide && together().length - (reference() ? 1 : 0) === shown.pictures.length);
  }

  // A flip keeps zoom and place, so that the same spot is seen before and after.
  function flip(number) {
    shown.reference = shown.reference === number ? null : number;
    draw();
    flips.children[number]?.focus();
  }

  const at = (step) => (shown.index + step + shown.pictures.length) % shown.pictures.length;

  function go(step) {
    const before = beside && several() ? together() : [];
    do shown.index = at(step); while (before.includes(shown.pictures[shown.index]) && before.length < shown.pictures.length);
    if (!beside) shown.reference = null;
    draw();
  }

  dialog.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: () => go(-1), ArrowRight: () => go(1), "+": () => zoom(view.scale * 1.4), "-": () => zoom(view.scale / 1.4), 0: () => zoom(1), z: () => zoom(view.scale > 1 ? 1 : 2.5), s: () => both.click() };
    const digit = Number(event.key) - 1;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); } else if (shown.references[digit]) flip(digit);
  });
  // The browser goes back in its own time: what is opened meanwhile gets its place in the history after that.
  const inHistory = () => history.pushState({ ...history.state, lightbox: true }, "");
  dialog.addEventListener("close", () => {
    if (history.state?.lightbox && !goingBack) { goingBack = true; history.back(); }
    shown = null;
  });
  window.addEventListener("popstate", () => {
    if (dialog.open) { if (goingBack) inHistory(); else dialog.close(); }
    goingBack = false;
  });

  stage.addEventListener("wheel", (event) => { event.preventDefault(); zoom(view.scale * Math.exp(-event.deltaY / 300), event); }, { passive: false });
  stage.addEventListener("dblclick", (event) => zoom(view.scale > 1 ? 1 : 2.5, event));
  stage.addEventListener("pointerdown", (event) => {
    const on = event.target; // from here on the stage is the target of all that this pointer does
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { from: event, at: event, on });
  });
  stage.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    const [a, b] = [...fingers.values()];
    if (b) {
      const apart = (one, other) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const other = finger === a ? b : a;
      zoom((view.scale * apart(event, other.at)) / Math.max(1, apart(finger.at, other.at)), event);
      finger.pinched = other.pinched = true;
    } else if (view.scale > 1) {
      view.x += event.clientX - finger.at.clientX;
      view.y += event.clientY - finger.at.clientY;
      place();
    }
    finger.at = event;
  });
  for (const over of ["pointerup", "pointercancel"]) stage.addEventListener(over, (event) => {
    const finger = fingers.get(event.pointerId);
    const alone = fingers.size === 1;
    fingers.delete(event.pointerId);
    if (!finger || !alone || finger.pinched || over === "pointercancel") return;
    const across = event.clientX - finger.from.clientX, down = event.clientY - finger.from.clientY;
    if (Math.hypot(across, down) < TAP) tap(event, finger.on);
    else if (view.scale === 1 && Math.abs(across) > SWIPE && shown.pictures.length > 1) go(across < 0 ? 1 : -1);
  });

  // A finger on a picture flips to the next one; beside it, it closes. A mouse has keys, arrows and a double click.
  function tap(event, on) {
    if (on.tagName !== "IMG") { if (view.scale === 1) dialog.close(); } else if (event.pointerType === "touch" && shown.pictures.length > 1) go(1);
  }

  // pictures: [{url, alt, note, name, actions: [[label, url or function]], label, group}], references: [{url, alt, label}].
  // Pictures that have a group, a number, can be seen side by side with the others of it.
  return (pictures, index, references = []) => {
    if (!dialog.isConnected) document.body.append(dialog);
    shown = { pictures, references, index, reference: null };
    view = { scale: 1, x: 0, y: 0 };
    if (innerWidth < 700) beside = false; // there is no room for it
    stage.replaceChildren();
    draw();
    if (!goingBack) inHistory();
    dialog.showModal();
    close.focus();
  };
})();
