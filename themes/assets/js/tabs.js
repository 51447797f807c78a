// Rows of tabs that are wider than the screen begin where one is, not at their start.
function show(root) {
  for (const here of root.querySelectorAll(".tabs [aria-current]")) {
    const row = here.closest(".tabs");
    if (row.scrollWidth > row.clientWidth) row.scrollLeft = here.offsetLeft - row.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
  }
}

show(document);
document.addEventListener("htmx:afterSwap", () => show(document));
