// .color-field: the swatch and the written value are one; the written one is what is sent.
document.addEventListener("input", (e) => {
  const box = e.target.closest?.(".color-field");
  if (!box) return;
  const swatch = box.querySelector('input[type="color"]');
  const text = box.querySelector('input:not([type="color"])');
  if (e.target === swatch) {
    text.value = swatch.value;
    text.dispatchEvent(new Event("change", { bubbles: true }));
  } else if (/^#[0-9a-f]{6}$/i.test(text.value)) {
    swatch.value = text.value;
  }
});
