// A slider moves the number beside it, and the number it. Without a script the number is
// all there is: the slider is shown by boot.js having run, and has no name of its own.
document.addEventListener("input", (e) => {
  const of = e.target.dataset?.slides;
  if (of) document.getElementById(of).value = e.target.value;
  else if (e.target.type === "number") {
    const s = document.querySelector(`[data-slides="${CSS.escape(e.target.id)}"]`);
    if (s) s.value = e.target.value;
  }
});
