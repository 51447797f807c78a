// Menus are <details class="menu">, so they open without this. It closes them when
// they should close and gives them the arrow keys.
const open = () => document.querySelectorAll("details.menu[open], details.site-menu[open]");

document.addEventListener("click", (e) => {
  for (const m of open()) if (!m.contains(e.target) || e.target.closest(".menu-list a, .menu-list button:not([data-stay])")) m.open = false;
});
document.addEventListener("focusin", (e) => {
  for (const m of open()) if (!m.contains(e.target)) m.open = false;
});
document.addEventListener("keydown", (e) => {
  const m = e.target.closest?.("details.menu, details.phone-nav, details.site-menu");
  if (!m) return;
  const summary = m.querySelector("summary");
  if (e.key === "Escape" && m.open) {
    m.open = false;
    summary.focus();
    return;
  }
  if (!["ArrowDown", "ArrowUp"].includes(e.key) || m.matches(".phone-nav, .site-menu")) return;
  e.preventDefault();
  m.open = true;
  const items = [...m.querySelectorAll(".menu-list a, .menu-list button")];
  const at = items.indexOf(document.activeElement);
  const next = e.key === "ArrowDown" ? at + 1 : at < 0 ? items.length - 1 : at - 1;
  items[(next + items.length) % items.length]?.focus();
});
