// What the inputs side does in the browser alone.

// A key's balance in pictures of the variant that is chosen now.
window.kontext.left = (variant) => {
  const line = document.querySelector("#header .balance");
  if (!line) return;
  const more = Math.floor(Number(line.dataset.left) / Number(pricePerPicture(variant)));
  line.textContent = line.textContent.replace(/about .*/, `about ${more.toLocaleString("en")} more ${more === 1 ? "picture" : "pictures"}`);
};

// A button inside a text opens what it speaks of.
document.addEventListener("click", ({ target }) => {
  const opens = target.closest?.("[data-opens]")?.dataset.opens;
  if (opens) document.getElementById(opens).click();
});

// Ctrl or Command with Enter generates, wherever the cursor is.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  document.activeElement?.blur?.(); // what was typed last is heard first
  document.getElementById("generate").click();
});
