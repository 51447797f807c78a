// Ctrl-K or Cmd-K: go anywhere by typing. It lists the links of the navigation and
// whatever carries data-palette; with <body data-search="/resellers"> it offers a search,
// and with data-palette-from="/palette.json" it lists what that address finds.
const dialog = document.getElementById("palette");

if (dialog) {
  const input = dialog.querySelector("input");
  const list = dialog.querySelector('[role="listbox"]');
  const none = dialog.querySelector(".palette-none");
  let shown = [];
  let at = 0;
  let found = []; // what the server knows for `asked`
  let asked = null;
  let wait = 0;

  const places = () => {
    const seen = new Set();
    const all = [];
    for (const a of document.querySelectorAll(".nav-links a[href], .page-actions a[href], [data-palette]")) {
      const text = (a.dataset.palette || a.textContent).trim().replace(/\s+/g, " ");
      const key = text + (a.href || "");
      if (!text || seen.has(key)) continue;
      seen.add(key);
      const kind = a.closest(".nav-links") ? "Go to" : "Do";
      all.push({ text, kind, run: () => a.click() });
    }
    for (const f of found) {
      if (all.some((p) => p.text === f.text)) continue;
      all.push({ text: f.text, kind: f.kind, sure: f.kind !== "Go to" && f.kind !== "Do", run: () => { location.href = f.href; } });
    }
    return all;
  };
  // ask waits until the typing pauses. An answer that comes late, or not at all, changes
  // nothing: the page's own links are there.
  const ask = () => {
    const from = document.body.dataset.paletteFrom;
    const q = input.value.trim();
    clearTimeout(wait);
    if (!from || q === asked) return;
    wait = setTimeout(async () => {
      asked = q;
      try {
        const res = await fetch(from + "?q=" + encodeURIComponent(q), { headers: { Accept: "application/json" } });
        if (!res.ok || asked !== q) return;
        const all = await res.json();
        if (asked !== q || !dialog.open) return;
        found = all.filter((f) => typeof f.href === "string" && /^\/(?!\/)/.test(f.href));
        draw();
      } catch {
        asked = null;
      }
    }, 150);
  };
  const score = (text, q) => {
    let from = 0;
    let s = 0;
    for (const c of q) {
      const i = text.indexOf(c, from);
      if (i < 0) return -1;
      s += i === from ? 3 : i === 0 || text[i - 1] === " " ? 2 : 0;
      from = i + 1;
    }
    return s + (text.startsWith(q) ? 10 : 0);
  };
  const draw = () => {
    const q = input.value.trim().toLowerCase();
    shown = places()
      .map((p) => ({ ...p, s: p.sure && q ? Math.max(1, score(p.text.toLowerCase(), q)) : score(p.text.toLowerCase(), q) }))
      .filter((p) => p.s >= 0)
      .sort((a, b) => b.s - a.s)
      .slice(0, 12);
    const search = document.body.dataset.search;
    if (search && q) shown.push({ text: `Search for “${input.value.trim()}”`, kind: "Search", run: () => { location.href = search + "?q=" + encodeURIComponent(input.value.trim()); } });
    at = 0;
    list.replaceChildren(...shown.map((p, i) => {
      const li = document.createElement("li");
      li.id = "palette-" + i;
      li.role = "option";
      li.textContent = p.text;
      const small = document.createElement("small");
      small.textContent = p.kind;
      li.append(small);
      li.addEventListener("click", () => go(i));
      return li;
    }));
    none.hidden = shown.length > 0;
    list.hidden = shown.length === 0;
    mark();
  };
  const mark = () => {
    [...list.children].forEach((li, i) => li.setAttribute("aria-selected", String(i === at)));
    if (shown.length) input.setAttribute("aria-activedescendant", "palette-" + at);
    else input.removeAttribute("aria-activedescendant");
    list.children[at]?.scrollIntoView({ block: "nearest" });
  };
  const go = (i) => {
    dialog.close();
    shown[i]?.run();
  };
  const show = () => {
    if (dialog.open) return;
    input.value = "";
    found = [];
    asked = null;
    dialog.showModal();
    draw();
    ask();
    input.focus();
  };

  input.addEventListener("input", () => {
    found = found.filter((f) => f.kind === "Go to" || f.kind === "Do"); // finds were for other words
    draw();
    ask();
  });
  input.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown") at = Math.min(at + 1, shown.length - 1);
    else if (e.key === "ArrowUp") at = Math.max(at - 1, 0);
    else if (e.key === "Enter") return e.preventDefault(), go(at);
    else return;
    e.preventDefault();
    mark();
  });
  document.addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && !e.altKey && e.key.toLowerCase() === "k") {
      e.preventDefault();
      show();
    }
  });
  document.addEventListener("click", (e) => {
    if (e.target.closest("[data-open-palette]")) show();
  });
}
