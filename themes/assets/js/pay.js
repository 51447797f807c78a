// The card form of the payment service on our pages. Its script (window.Stripe) is
// loaded by the page before this one; what is typed goes to it and never to us.
const form = document.querySelector("form[data-pay][data-key]");
if (form) start(form);

// Whoever must confirm with the bank is sent there; the link stays for those we cannot send.
const follow = document.querySelector("a[data-follow]");
if (follow && !sessionStorage.getItem(follow.href)) {
  sessionStorage.setItem(follow.href, "1"); // once: who comes back by the browser's button decides anew
  location.assign(follow.href);
}

function start(form) {
  const box = form.querySelector("[data-pay-card]");
  const problem = form.querySelector("[data-pay-problem]");
  const button = form.querySelector("button[type=submit]");
  const setup = form.dataset.pay === "setup";
  let stripe, elements, busy = false;

  const say = (text) => {
    problem.textContent = text || "";
    problem.hidden = !text;
    if (text) problem.scrollIntoView({ block: "nearest" });
  };
  const wait = (on) => {
    busy = on;
    if (on) button.setAttribute("aria-busy", "true");
    else button.removeAttribute("aria-busy");
  };
  // What the frame's form is dressed in: the page's own colours, of whatever theme and scheme.
  const looks = () => {
    const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = (color) => {
      brush.fillStyle = color;
      brush.fillRect(0, 0, 1, 1);
      return [...brush.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    };
    const words = (color) => `rgb(${rgb(color).join(", ")})`;
    const probe = document.createElement("input");
    probe.className = "input";
    box.append(probe);
    const field = getComputedStyle(probe);
    const [r, g, b] = rgb(field.backgroundColor);
    const variables = {
      colorBackground: words(field.backgroundColor), colorText: words(getComputedStyle(form).color),
      colorPrimary: words(getComputedStyle(button).backgroundColor), borderRadius: field.borderTopLeftRadius,
    };
    probe.remove();
    return { theme: r + g + b < 384 ? "night" : "stripe", variables };
  };
  const wantsCard = () => setup || form.elements.with.value === "card";
  const saves = () => setup || Boolean(form.elements.save?.checked);

  const mount = () => {
    if (elements) return;
    if (!window.Stripe) {
      say("The card form could not be loaded. Please reload the page, or choose another way to pay.");
      return;
    }
    stripe = window.Stripe(form.dataset.key, form.dataset.account ? { stripeAccount: form.dataset.account } : undefined);
    const options = { paymentMethodTypes: ["card"], currency: form.dataset.currency || "eur", mode: setup ? "setup" : "payment", appearance: looks() };
    if (!setup) options.amount = Number(form.dataset.minor);
    elements = stripe.elements(options);
    const card = elements.create("payment");
    card.on("loaderror", () => say("The card form could not be loaded. Please reload the page, or choose another way to pay."));
    card.mount("#pay-card");
    const dress = () => elements.update({ appearance: looks() });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
    new MutationObserver(dress).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  };
  const show = () => {
    box.hidden = !wantsCard();
    const debit = form.querySelector("[data-pay-debit]");
    if (debit) debit.hidden = form.elements.with.value !== "debit";
    if (wantsCard()) mount();
  };
  form.addEventListener("change", () => {
    say("");
    show();
  });
  show();

  const ask = async () => {
    const answer = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(new FormData(form)) });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.detail || "That did not work. Please try again.");
    return said;
  };

  const pay = async () => {
    if (!setup) elements.update({ setupFutureUsage: saves() ? "off_session" : null });
    const checked = await elements.submit();
    if (checked.error) return say(checked.error.message);
    const begun = await ask();
    if (begun.state === "failed") return say(begun.message);
    if (begun.state === "succeeded" || !begun.client_secret) return location.assign(begun.next);
    const confirm = setup ? stripe.confirmSetup : stripe.confirmPayment;
    const done = await confirm.call(stripe, {
      elements, clientSecret: begun.client_secret, redirect: "if_required",
      confirmParams: { return_url: new URL(begun.next, location.href).href },
    });
    if (done.error) return say(done.error.message);
    location.assign(begun.next);
  };

  form.addEventListener("submit", async (e) => {
    if (!wantsCard()) return; // the form goes its own way
    e.preventDefault();
    if (busy || !elements) return;
    say("");
    wait(true);
    try {
      await pay();
    } catch (err) {
      say(err instanceof TypeError ? "The connection was interrupted. Nothing is lost: please try again." : err.message);
    } finally {
      wait(false);
    }
  });
  // Back from the payment: the page in the browser's memory is out of date.
  addEventListener("pageshow", (e) => {
    if (e.persisted) location.reload();
  });
}
