// htmx, set up for a strict policy: nothing evaluated, no styles injected, no
// other origin asked, and a form that came back with errors (422) shown.
import htmx from "htmx.org/dist/htmx.esm.js";
import { toast } from "./toast.js";

Object.assign(htmx.config, {
  allowEval: false,
  includeIndicatorStyles: false,
  selfRequestsOnly: true,
  allowScriptTags: false,
  historyCacheSize: 0,
  refreshOnHistoryMiss: true,
  scrollIntoViewOnBoost: false,
  responseHandling: [
    { code: "204", swap: false },
    { code: "[23]..", swap: true },
    { code: "422", swap: true },
    { code: "[45]..", swap: false, error: true },
  ],
});
window.htmx = htmx;

// Unsafe requests carry the page's token.
document.addEventListener("htmx:configRequest", (e) => {
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  if (token && e.detail.verb !== "get") e.detail.headers["X-CSRF-Token"] = token;
});

// A failure nobody swapped in still says something.
document.addEventListener("htmx:responseError", (e) => {
  const id = e.detail.xhr.getResponseHeader("X-Request-Id");
  toast("bad", "That did not work. Please try again." + (id ? " Reference " + id + "." : ""));
});
document.addEventListener("htmx:sendError", () => {
  toast("bad", "We cannot reach the server. Please check your connection.");
});

// After an error came back, the first wrong field has the focus.
document.addEventListener("htmx:afterSettle", (e) => {
  if (e.detail.xhr?.status === 422) e.target.querySelector?.('[aria-invalid="true"]')?.focus();
});

export default htmx;
