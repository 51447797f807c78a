// The card form: what is typed here goes to the simulator and never to the shop's page.
(() => {
  const field = (id) => document.getElementById(id);
  const number = field('number'), expiry = field('expiry'), cvc = field('cvc'), problem = field('problem');
  const digits = (s) => s.replace(/\D/g, '');
  number.addEventListener('input', () => { number.value = digits(number.value).slice(0, 19).replace(/(.{4})(?=.)/g, '$1 '); });
  expiry.addEventListener('input', () => {
    const d = digits(expiry.value).slice(0, 4);
    expiry.value = d.length > 2 ? d.slice(0, 2) + ' / ' + d.slice(2) : d;
  });
  field('card').addEventListener('submit', (e) => { e.preventDefault(); parent.postMessage({ lab: 'enter' }, '*'); });
  const show = (text, at) => {
    problem.textContent = text; problem.hidden = !text;
    for (const f of [number, expiry, cvc]) f.classList.toggle('bad', f === at);
  };
  const check = () => {
    const d = digits(expiry.value);
    if (digits(number.value).length < 13) return ['Your card number is incomplete.', number];
    if (d.length < 4 || Number(d.slice(0, 2)) < 1 || Number(d.slice(0, 2)) > 12) return ["Your card's expiration date is incomplete.", expiry];
    if (digits(cvc.value).length < 3) return ["Your card's security code is incomplete.", cvc];
    return null;
  };
  const confirm = async (m) => {
    const d = digits(expiry.value);
    const body = new URLSearchParams({
      key: m.key, client_secret: m.secret, return_url: m.returnURL || '',
      'payment_method_data[type]': 'card', 'payment_method_data[card][number]': digits(number.value),
      'payment_method_data[card][exp_month]': d.slice(0, 2), 'payment_method_data[card][exp_year]': d.slice(2), 'payment_method_data[card][cvc]': digits(cvc.value),
    });
    if (m.account) body.set('_stripe_account', m.account);
    const id = m.secret.split('_secret_')[0];
    const kind = id.startsWith('seti_') ? 'setup_intents' : 'payment_intents';
    const answer = await fetch('/v1/' + kind + '/' + id + '/confirm', { method: 'POST', body });
    return answer.json();
  };
  const dress = ({ variables = {} }) => {
    const names = { colorText: '--text', colorBackground: '--field', colorPrimary: '--focus', borderRadius: '--radius' };
    for (const [name, as] of Object.entries(names)) if (variables[name]) document.documentElement.style.setProperty(as, variables[name]);
  };
  addEventListener('message', async (e) => {
    const m = e.data;
    if (m?.lab === 'dress') { dress(m.looks); return; }
    if (!m || !m.lab || !e.ports[0]) return;
    const bad = check();
    show(bad ? bad[0] : '', bad ? bad[1] : null);
    if (bad) { e.ports[0].postMessage({ error: { type: 'validation_error', message: bad[0] } }); return; }
    if (m.lab === 'check') { e.ports[0].postMessage({}); return; }
    try {
      e.ports[0].postMessage(await confirm(m));
    } catch (err) {
      e.ports[0].postMessage({ error: { type: 'api_connection_error', message: 'The payment service could not be reached.' } });
    }
  });
  parent.postMessage({ lab: 'ready', height: document.body.scrollHeight }, '*');
  new ResizeObserver(() => parent.postMessage({ lab: 'height', height: document.documentElement.scrollHeight }, '*')).observe(document.body);
})();
