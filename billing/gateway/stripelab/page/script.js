// In place of Stripe.js: the part of its interface that shops here use. The card form is
// a frame of the simulator's own origin.
(() => {
  const origin = new URL(document.currentScript.src).origin;
  const ask = (frame, message) => new Promise((done) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = (e) => { channel.port1.close(); done(e.data); };
    frame.contentWindow.postMessage(message, origin, [channel.port2]);
  });

  class Element {
    constructor(looks) { this.listeners = {}; this.looks = looks; }
    // As with Stripe, what the form looks like is the page's to say.
    dress(looks) {
      if (looks) this.looks = looks;
      if (this.looks) this.frame?.contentWindow?.postMessage({ lab: 'dress', looks: this.looks }, origin);
    }
    on(name, f) { (this.listeners[name] ||= []).push(f); return this; }
    fire(name, e) { for (const f of this.listeners[name] || []) f(e || {}); }
    mount(where) {
      const box = typeof where === 'string' ? document.querySelector(where) : where;
      this.frame = document.createElement('iframe');
      this.frame.src = origin + '/v3/frame';
      this.frame.addEventListener('load', () => this.dress());
      this.frame.title = 'Secure card form';
      this.frame.setAttribute('frameborder', '0');
      this.frame.width = '100%';
      this.frame.height = '180';
      addEventListener('message', (e) => {
        if (e.source !== this.frame.contentWindow || !e.data) return;
        if (e.data.height) this.frame.height = String(e.data.height);
        if (e.data.lab === 'ready') this.fire('ready');
        if (e.data.lab === 'enter') box.closest('form')?.requestSubmit();
      });
      this.frame.addEventListener('error', () => this.fire('loaderror'));
      box.append(this.frame);
    }
    unmount() { this.frame?.remove(); }
    destroy() { this.unmount(); }
  }

  class Elements {
    constructor(options) { this.options = options || {}; }
    create() { this.element = new Element(this.options.appearance); return this.element; }
    getElement() { return this.element || null; }
    update(options) {
      Object.assign(this.options, options);
      if (options.appearance) this.element?.dress(options.appearance);
    }
    async submit() { const a = await ask(this.element.frame, { lab: 'check' }); return a.error ? { error: a.error } : {}; }
  }

  window.Stripe = (key, settings) => {
    const account = settings?.stripeAccount || '';
    if (!key) throw new Error('A publishable key is needed.');
    const result = (o) => {
      if (o.error) return { error: o.error };
      return o.object === 'setup_intent' ? { setupIntent: o } : { paymentIntent: o };
    };
    const leave = (o) => {
      const to = o.next_action?.redirect_to_url?.url;
      if (o.status !== 'requires_action' || !to) return false;
      location.assign(to);
      return true;
    };
    const confirm = async ({ elements, clientSecret, confirmParams, redirect }) => {
      const secret = clientSecret || elements.options.clientSecret;
      const returnURL = confirmParams?.return_url;
      if (!returnURL && redirect !== 'if_required') throw new Error('confirmParams.return_url is needed.');
      const o = await ask(elements.element.frame, { lab: 'confirm', key, account, secret, returnURL });
      if (!o.error && leave(o)) return new Promise(() => {});
      if (!o.error && redirect !== 'if_required') {
        const back = new URL(returnURL);
        back.searchParams.set(o.object, o.id);
        back.searchParams.set('redirect_status', 'succeeded');
        location.assign(back);
        return new Promise(() => {});
      }
      return result(o);
    };
    const retrieve = async (secret) => {
      const id = secret.split('_secret_')[0];
      const kind = id.startsWith('seti_') ? 'setup_intents' : 'payment_intents';
      const q = new URLSearchParams({ key, client_secret: secret });
      if (account) q.set('_stripe_account', account);
      return (await fetch(origin + '/v1/' + kind + '/' + id + '?' + q)).json();
    };
    return {
      elements: (options) => new Elements(options),
      confirmPayment: confirm,
      confirmSetup: confirm,
      retrievePaymentIntent: async (secret) => result(await retrieve(secret)),
      retrieveSetupIntent: async (secret) => result(await retrieve(secret)),
      handleNextAction: async ({ clientSecret }) => {
        const o = await retrieve(clientSecret);
        if (!o.error && leave(o)) return new Promise(() => {});
        return result(o);
      },
    };
  };
})();
