// Signing in and out: forms, sent by the page itself, with what it holds in their bodies and in no address.
{
  const NAME = "kontext-signed-in"; // tells this browser's other pages
  const HANDLE = /^ks_/;

  window.kontext.sign = (held, [begin, end]) => {
    const out = HANDLE.test(held || "");
    // The provider shows its page in no frame.
    const target = !out && window.top !== window ? "_blank" : "_self";
    const form = window.kontext.h("form", { method: "post", action: out ? end : begin, target },
      window.kontext.h("input", { type: "hidden", name: "visitor", value: held || "" }));
    document.body.append(form);
    form.submit();
    form.remove();
    if (target === "_blank") window.kontext.show("header", "Go on in the new tab.");
  };
  window.kontext.greet = (name) => {
    try { localStorage.setItem(NAME, name); } catch { /* forbidden: the others hear of it when they are loaded anew */ }
    if (location.hash !== "#not-signed-in") return;
    history.replaceState(history.state, "", location.pathname + location.search);
    window.kontext.show("header", "You weren't signed in. Try again.");
  };
  // Signed in or out in another tab: what this page holds is nobody's any more. Its draft stays.
  addEventListener("storage", ({ key, oldValue, newValue }) => {
    if (key === NAME && (oldValue || "") !== (newValue || "")) location.reload();
  });
}
