// Dialogs open by <button commandfor="id" command="show-modal">, which new browsers
// do by themselves; this does it for the others, and closes on a click outside.
const native = "commandForElement" in HTMLButtonElement.prototype;

document.addEventListener("click", (e) => {
  const b = e.target.closest("button[commandfor]");
  if (b && !native) {
    const d = document.getElementById(b.getAttribute("commandfor"));
    if (b.getAttribute("command") === "show-modal") d?.showModal();
    if (b.getAttribute("command") === "close") d?.close();
  }
  if (e.target.matches?.("dialog.dialog")) {
    const r = e.target.getBoundingClientRect();
    if (e.clientX < r.left || e.clientX > r.right || e.clientY < r.top || e.clientY > r.bottom) e.target.close();
  }
});

// <input data-confirm-name="nimbus">: the dangerous button works once the name is typed.
document.addEventListener("input", (e) => {
  const want = e.target.dataset?.confirmName;
  if (!want) return;
  const button = e.target.form?.querySelector("[data-needs-name]");
  if (button) button.disabled = e.target.value.trim() !== want;
});
for (const i of document.querySelectorAll("[data-confirm-name]")) {
  const button = i.form?.querySelector("[data-needs-name]");
  if (button) button.disabled = i.value.trim() !== i.dataset.confirmName;
}
