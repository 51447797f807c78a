// Small manners of forms: no double sending, filters that apply themselves, and a
// word before leaving with something unsaved.
document.addEventListener("submit", (e) => {
  const b = e.submitter;
  if (e.defaultPrevented || !b || e.target.method === "dialog" || e.target.target || b.formTarget) return;
  setTimeout(() => b.setAttribute("aria-busy", "true"));
  e.target.dataset.sent = "true";
});
window.addEventListener("pageshow", () => {
  for (const b of document.querySelectorAll('[aria-busy="true"]')) b.removeAttribute("aria-busy");
});
document.addEventListener("change", (e) => {
  if (e.target.closest?.("[data-autosubmit]")) e.target.form?.requestSubmit();
  const f = e.target.form;
  if (f?.hasAttribute("data-guard")) f.dataset.dirty = "true";
});
window.addEventListener("beforeunload", (e) => {
  if (document.querySelector("form[data-guard][data-dirty]:not([data-sent])")) e.preventDefault();
});
// <input type="checkbox" data-select-all> and rows with data-select.
document.addEventListener("change", (e) => {
  const scope = e.target.closest?.("[data-selection]");
  if (!scope) return;
  const rows = [...scope.querySelectorAll("[data-select]")];
  if (e.target.matches("[data-select-all]")) for (const r of rows) r.checked = e.target.checked;
  const n = rows.filter((r) => r.checked).length;
  for (const r of rows) r.closest("tr")?.classList.toggle("is-selected", r.checked);
  const bar = scope.querySelector(".bulk");
  if (bar) {
    bar.hidden = n === 0;
    const count = bar.querySelector("[data-count]");
    if (count) count.textContent = n;
  }
});
