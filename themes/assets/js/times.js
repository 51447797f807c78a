// <time data-ago datetime="…">: relative, kept fresh, absolute in the reader's zone on hover.
// <time data-clock datetime="…">: the hour and minute of it, as data-at.
// <time data-at datetime="…">: in the reader's zone, as the server wrote it on hover.
const lang = document.documentElement.lang || "en";
const rel = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
const abs = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "long" });
const here = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const steps = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [2592000, "day", 86400], [31536000, "month", 2592000], [Infinity, "year", 31536000]];

function refresh(root = document) {
  for (const t of root.querySelectorAll("time[data-ago]")) {
    const at = new Date(t.dateTime);
    if (isNaN(at)) continue;
    const s = (at - Date.now()) / 1000;
    const [, unit, size] = steps.find(([limit]) => Math.abs(s) < limit);
    const text = Math.abs(s) < 10 ? rel.format(0, "second") : rel.format(Math.round(s / size), unit);
    if (t.textContent !== text) t.textContent = text;
    t.title = abs.format(at);
  }
  for (const t of root.querySelectorAll("time[data-clock]:not([title])")) {
    const at = new Date(t.dateTime);
    if (isNaN(at)) continue;
    t.title = t.textContent;
    t.textContent = clock.format(at);
  }
  for (const t of root.querySelectorAll("time[data-at]:not([title])")) {
    const at = new Date(t.dateTime);
    if (isNaN(at)) continue;
    t.title = t.textContent;
    t.textContent = here.format(at);
  }
}
refresh();
setInterval(refresh, 15000);
document.addEventListener("htmx:afterSettle", () => refresh());
