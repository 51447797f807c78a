// <button data-copy="value"> puts the value into the clipboard and says so.
document.addEventListener("click", async (e) => {
  const b = e.target.closest("[data-copy]");
  if (!b) return;
  const value = b.dataset.copy;
  try {
    await navigator.clipboard.writeText(value);
  } catch {
    // No clipboard without a secure context: the selection way still works.
    const t = document.createElement("textarea");
    t.value = value;
    t.className = "visually-hidden";
    document.body.append(t);
    t.select();
    document.execCommand("copy");
    t.remove();
  }
  const was = b.getAttribute("aria-label");
  b.classList.add("is-done");
  b.setAttribute("aria-label", "Copied");
  b.title = "Copied";
  setTimeout(() => {
    b.classList.remove("is-done");
    if (was) b.setAttribute("aria-label", was);
    b.title = was || "";
  }, 1600);
});
