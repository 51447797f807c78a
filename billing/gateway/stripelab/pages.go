package stripelab

import (
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"time"
)

//go:embed page
var pages embed.FS

func page(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, err := pages.ReadFile("page/" + name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(body)
	}
}

// acting finds the intent a bank's page is about. The caller holds the lock.
func (l *Lab) acting(r *http.Request) (*call, *intent) {
	for _, a := range l.accounts {
		if i := a.intents[r.PathValue("id")]; i != nil && i.clientSecret == r.FormValue("client_secret") {
			return &call{lab: l, a: a, id: i.id, base: baseOf(r), form: url.Values{}}, i
		}
	}
	return nil, nil
}

func (l *Lab) bankPage(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	_, i := l.acting(r)
	var view struct {
		ID, Secret, Amount, Currency string
		Done                         bool
	}
	if i != nil {
		view.ID, view.Secret, view.Done = i.id, i.clientSecret, i.status != needsAction
	}
	l.mu.Unlock()
	if i == nil {
		http.NotFound(w, r)
		return
	}
	t, err := template.ParseFS(pages, "page/bank.html")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = t.Execute(w, view)
}

// bankAnswer is the customer's word, and the way back to the shop.
func (l *Lab) bankAnswer(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	l.mu.Lock()
	c, i := l.acting(r)
	if i == nil {
		l.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	if m := c.a.methods[i.method]; i.status == needsAction && m != nil {
		if r.FormValue("answer") == "confirm" {
			c.succeed(i, m)
		} else {
			code := "payment_intent_authentication_failure"
			if i.setup {
				code = "setup_intent_authentication_failure"
			}
			c.decline(i, m, code, code, "We are unable to authenticate your payment method.")
		}
	}
	back, err := url.Parse(i.returnURL)
	q := url.Values{}
	if err == nil {
		q = back.Query()
	}
	name := "payment_intent"
	if i.setup {
		name = "setup_intent"
	}
	status := "succeeded"
	if i.status != succeeded {
		status = "failed"
	}
	q.Set(name, i.id)
	q.Set(name+"_client_secret", i.clientSecret)
	q.Set("redirect_status", status)
	l.mu.Unlock()
	l.hooks.Stir()
	if err != nil || back.Host == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("You may go back to the shop.\n"))
		return
	}
	back.RawQuery = q.Encode()
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

// faultsPage switches faults from outside, for a person at the demo: POST with any of
// down, errors, lose_answers, lose_hooks, double_hooks, turn_hooks as "on", and slow as
// a duration. What is not named is switched off.
func (l *Lab) faultsPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	on := func(name string) bool { return r.FormValue(name) == "on" }
	slow, _ := time.ParseDuration(r.FormValue("slow"))
	l.SetFaults(Faults{
		Down: on("down"), Errors: on("errors"), LoseAnswers: on("lose_answers"), LoseHooks: on("lose_hooks"), DoubleHooks: on("double_hooks"), TurnHooks: on("turn_hooks"), Slow: min(slow, time.Minute),
	})
	w.WriteHeader(http.StatusNoContent)
}
