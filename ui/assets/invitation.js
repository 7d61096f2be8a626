// An invitation comes once, in a link; this browser keeps it, and the address bar does not.
{
  const KEPT = "kontext-invitation", LINK = /^#invite=(kx_[a-z2-7]{32})$/i;

  function taken() {
    const code = LINK.exec(location.hash)?.[1];
    if (code) history.replaceState(history.state, "", location.pathname + location.search);
    return code;
  }
  const linked = taken();
  const text = (html) => new DOMParser().parseFromString(html, "text/html").body.textContent;

  window.kontext.invitation = {
    brought: () => { try { return linked || localStorage.getItem(KEPT) || ""; } catch { return linked || ""; } },
    // After it was tried: what works is kept, and of what does not it is said why.
    tried: (own, words) => {
      if (own.startsWith("kx_")) try { localStorage.setItem(KEPT, own); } catch { /* forbidden: it works until the page goes */ }
      if (words && (linked || !own)) window.kontext.show("header", text(words));
    },
    forget: () => { try { localStorage.removeItem(KEPT); } catch { /* nothing was kept */ } },
  };
  // A link that is opened where the page stands already.
  addEventListener("hashchange", () => {
    const code = taken();
    if (!code) return;
    try { localStorage.setItem(KEPT, code); } catch { return; }
    location.reload();
  });
}
