// <div data-live="/events/path" hx-get="…" hx-trigger="live"> is fetched anew when the
// server's event stream says so, and every few seconds while the stream is down.
const streams = new Map();

function attach(el) {
  if (streams.has(el)) return;
  const every = Number(el.dataset.livePoll || 4000);
  let timer;
  const fire = () => window.htmx?.trigger(el, "live");
  const poll = (on) => {
    clearInterval(timer);
    timer = on ? setInterval(fire, every) : undefined;
  };
  const source = new EventSource(el.dataset.live);
  source.addEventListener("open", () => poll(false));
  source.addEventListener("message", fire);
  source.addEventListener("error", () => {
    if (!timer) poll(true);
  });
  streams.set(el, () => {
    source.close();
    poll(false);
  });
}

function scan() {
  for (const [el, stop] of streams) {
    if (!el.isConnected || !el.hasAttribute("data-live")) {
      stop();
      streams.delete(el);
    }
  }
  for (const el of document.querySelectorAll("[data-live]")) attach(el);
}
scan();
document.addEventListener("htmx:afterSettle", scan);
