// <button data-theme-set="light|dark|system">: the reader's choice, kept in this browser.
function current() {
  return document.documentElement.dataset.theme || "system";
}
function mark() {
  for (const b of document.querySelectorAll("[data-theme-set]")) b.setAttribute("aria-pressed", String(b.dataset.themeSet === current()));
}
document.addEventListener("click", (e) => {
  const b = e.target.closest("[data-theme-set]");
  if (!b) return;
  const t = b.dataset.themeSet;
  if (t === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = t;
  try {
    if (t === "system") localStorage.removeItem("ez-theme");
    else localStorage.setItem("ez-theme", t);
  } catch { /* not kept, still applied */ }
  mark();
});
mark();
document.addEventListener("htmx:afterSettle", mark);
