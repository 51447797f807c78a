// Toasts say what happened elsewhere: the server sends HX-Trigger: {"toast": {"kind": "good", "text": "…"}}.
const words = { good: "Done:", warn: "Note:", bad: "Problem:", info: "" };

export function toast(kind, text) {
  const host = document.getElementById("toasts");
  if (!host || !text) return;
  const el = document.createElement("div");
  el.className = "toast";
  const dot = document.createElement("span");
  dot.className = "status status-" + kind;
  const word = document.createElement("span");
  word.className = "visually-hidden";
  word.textContent = words[kind] || "";
  dot.append(word);

  const p = document.createElement("span");
  p.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn btn-quiet btn-small";
  close.textContent = "Close";
  close.addEventListener("click", () => el.remove());
  el.append(dot, p, close);
  host.append(el);
  if (kind !== "bad") setTimeout(() => el.remove(), 6000);
}

document.addEventListener("toast", (e) => toast(e.detail.kind || "info", e.detail.text || e.detail.value));
