// Pictures at full size, one at a time: zoom, pan, arrow keys, swipe, and a flip to any reference. One dialog for the
// page: Escape and the browser's Back close it, and the focus returns to where it was.
window.kontext.lightbox = (() => {
  const { h } = window.kontext;
  const NEAREST = 8; // times its size on the screen
  const SWIPE = 60; // px
  let shown = null; // {pictures, references, index, reference}
  let view = { scale: 1, x: 0, y: 0 };
  const fingers = new Map(); // pointer id -> where it is

  const image = h("img", { alt: "", draggable: "false" });
  const stage = h("div", { class: "stage" }, image);
  const caption = h("p", { class: "caption", "aria-live": "polite" });
  const flips = h("div", { class: "flips", role: "group", "aria-label": "Compare with a reference" });
  const acts = h("div", { class: "acts" });
  const side = (step, label, glyph) => h("button", { type: "button", class: `side ${step < 0 ? "left" : "right"}`, "aria-label": label, onclick: () => go(step) }, glyph);
  const previous = side(-1, "Previous picture", "‹");
  const next = side(1, "Next picture", "›");
  const close = h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => dialog.close() }, "×");
  const dialog = h("dialog", { class: "lightbox", "aria-label": "Picture at full size" },
    stage, previous, next, close, h("footer", {}, caption, flips, acts));

  function place() {
    image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    stage.classList.toggle("near", view.scale > 1);
  }

  function zoom(scale, at) {
    const to = Math.min(NEAREST, Math.max(1, scale));
    const box = stage.getBoundingClientRect();
    const [x, y] = at ? [at.clientX - box.x - box.width / 2, at.clientY - box.y - box.height / 2] : [0, 0];
    // What lies under the pointer stays there.
    view = to === 1 ? { scale: 1, x: 0, y: 0 }
      : { scale: to, x: x - ((x - view.x) * to) / view.scale, y: y - ((y - view.y) * to) / view.scale };
    place();
  }

  function draw() {
    const picture = shown.pictures[shown.index];
    const reference = shown.reference === null ? null : shown.references[shown.reference];
    image.src = (reference || picture).url;
    image.alt = (reference || picture).alt;
    const place = shown.pictures.length > 1 ? `Picture ${shown.index + 1} of ${shown.pictures.length}` : "Picture";
    caption.textContent = reference ? `${reference.label} · press again for the picture` : [place, picture.note].filter(Boolean).join(" · ");
    flips.replaceChildren(...shown.references.map((entry, at) => h("button", {
      type: "button", "aria-pressed": String(at === shown.reference), title: entry.label, "aria-label": `Before and after: ${entry.label}`,
      onclick: () => flip(at),
    }, h("img", { src: entry.url, alt: "" }))));
    acts.replaceChildren(...picture.actions.map(([label, act]) => typeof act === "string"
      ? h("a", { class: "button", href: act, download: picture.name }, label)
      : h("button", { type: "button", onclick: () => act(dialog) }, label)));
    previous.hidden = next.hidden = shown.pictures.length < 2;
  }

  // A flip keeps zoom and place, so that the same spot is seen before and after.
  function flip(at) {
    shown.reference = shown.reference === at ? null : at;
    draw();
    flips.children[at]?.focus();
  }

  function go(step) {
    shown.index = (shown.index + step + shown.pictures.length) % shown.pictures.length;
    shown.reference = null;
    draw();
  }

  dialog.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: () => go(-1), ArrowRight: () => go(1), "+": () => zoom(view.scale * 1.4), "-": () => zoom(view.scale / 1.4), 0: () => zoom(1), z: () => zoom(view.scale > 1 ? 1 : 2.5) };
    const digit = Number(event.key) - 1;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); } else if (shown.references[digit]) flip(digit);
  });
  dialog.addEventListener("close", () => {
    if (history.state?.lightbox) history.back();
    shown = null;
  });
  window.addEventListener("popstate", () => { if (dialog.open) dialog.close(); });

  stage.addEventListener("wheel", (event) => { event.preventDefault(); zoom(view.scale * Math.exp(-event.deltaY / 300), event); }, { passive: false });
  stage.addEventListener("dblclick", (event) => zoom(view.scale > 1 ? 1 : 2.5, event));
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { from: event, at: event });
  });
  stage.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    const [a, b] = [...fingers.values()];
    if (b) {
      const apart = (one, other) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const other = finger === a ? b : a;
      zoom((view.scale * apart(event, other.at)) / Math.max(1, apart(finger.at, other.at)), event);
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
    if (!finger || !alone || view.scale > 1 || over === "pointercancel") return;
    const across = event.clientX - finger.from.clientX;
    if (Math.abs(across) > SWIPE && shown.pictures.length > 1) go(across < 0 ? 1 : -1);
    else if (Math.abs(across) < 4 && event.target === stage) dialog.close();
  });

  // pictures: [{url, alt, note, name, actions: [[label, url or function]]}], references: [{url, alt, label}]
  return (pictures, index, references = []) => {
    if (!dialog.isConnected) document.body.append(dialog);
    shown = { pictures, references, index, reference: null };
    view = { scale: 1, x: 0, y: 0 };
    place();
    draw();
    history.pushState({ ...history.state, lightbox: true }, "");
    dialog.showModal();
    close.focus();
  };
})();
