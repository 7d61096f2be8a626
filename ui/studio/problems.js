// What stopped a press, at the fields that it is about and in a line over the button. A change of the form asks the
// server anew about what is shown, and what is mended goes.
const { h } = window.kontext;
const line = element.querySelector("p");
const shown = new Map(); // a field's id -> the sentence at it
let press = "";

const field = (id) => document.getElementById(id);
const typed = (id) => field(id)?.querySelector("textarea, select, input:not([type=range], [type=radio], [type=checkbox], [hidden])");
const hinted = (sentence) => document.getElementById("hints").textContent.includes(sentence);

function mark(id, sentence) {
  const said = `${id}-problem`;
  if (!shown.get(id)?.isConnected) shown.set(id, h("p", { id: said, class: "problem", role: "alert" }));
  const node = shown.get(id);
  if (node.textContent !== sentence) node.textContent = sentence;
  node.hidden = hinted(sentence); // it stands there already
  if (!node.isConnected) field(id).append(node);
  const control = id === "references" ? field(id).querySelector("section") : typed(id) || field(id).querySelector("fieldset");
  control?.setAttribute("aria-describedby", node.hidden ? "hints" : said);
  if (typed(id) && id !== "references") control.setAttribute("aria-invalid", "true");
}

function clear(id) {
  shown.get(id).remove();
  shown.delete(id);
  for (const node of field(id)?.querySelectorAll(`[aria-describedby="${id}-problem"], [aria-invalid]`) || []) {
    node.removeAttribute("aria-describedby");
    node.removeAttribute("aria-invalid");
  }
}

// The first one, above the bar with the button, which lies over the page's foot.
function bringIntoView() {
  const first = [...document.querySelectorAll("#inputs .problem")].find((node) => node.checkVisibility());
  const place = first?.closest("[id].block") || first;
  if (!place) return;
  const box = place.getBoundingClientRect();
  const foot = document.getElementById("press").getBoundingClientRect().top;
  if (box.top < 0 || box.bottom > foot) place.scrollIntoView({ block: box.height < foot / 2 ? "center" : "start", behavior: "smooth" });
}

// A parameter's control is made when the parameters are opened.
async function reach(ids) {
  const missing = () => ids.some((id) => !field(id)?.checkVisibility());
  if (missing()) document.querySelector("#parameters button.label-wrap:not(.open)")?.click();
  for (let frames = 0; missing() && frames < 60; frames += 1) await new Promise(requestAnimationFrame);
}

async function show() {
  const { found, press: mine } = props.value || { found: {}, press: "" };
  const pressed = mine && mine !== press;
  press = mine || press;
  for (const id of [...shown.keys()]) if (!(id in found)) clear(id);
  if (!pressed && !Object.keys(found).length) line.textContent = "";
  if (pressed) {
    window.kontext.refused();
    await reach(Object.keys(found));
  }
  for (const [id, sentence] of Object.entries(found)) if (field(id)) mark(id, sentence);
  if (!pressed) return;
  line.textContent = "Nothing was sent or charged. Fix what’s marked.";
  bringIntoView();
}

document.addEventListener("kontext-changed", () => {
  const fields = [...shown.keys(), ...(document.querySelector("#compare [role=alert]") ? ["compare"] : [])];
  if (fields.length) trigger("recheck", { fields });
});
watch("value", show);
