// Runs before the first paint: the reader's choice of light or dark.
(() => {
  document.documentElement.dataset.script = ""; // what only a script can move is shown
  try {
    const t = localStorage.getItem("ez-theme");
    if (t === "light" || t === "dark") document.documentElement.dataset.theme = t;
  } catch { /* storage is off: the system decides */ }
})();
