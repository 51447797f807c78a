package coinbaselab

import (
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
)

//go:embed pay.html
var payHTML string

const maxBody = 1 << 20

// asked is what a customer is asked to pay. The caller holds the lock.
type asked struct {
	ID, Amount, Currency, What string
	Done                       bool
	paid                       bool
	success, fail              string
}

func (l *Lab) asked(id string) (v asked, ok bool) {
	for _, a := range l.accounts {
		c := a.checkouts[id]
		if c == nil {
			continue
		}
		text := func(name string) string { s, _ := c.body[name].(string); return s }
		return asked{
			ID: id, Amount: text("amount"), Currency: text("currency"), What: text("description"), Done: text("status") != "ACTIVE", paid: c.body["settlement"] != nil,
			success: text("successRedirectUrl"), fail: text("failRedirectUrl"),
		}, true
	}
	return v, false
}

func (l *Lab) payPage(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	view, ok := l.asked(r.PathValue("id"))
	l.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	t, err := template.New("pay").Parse(payHTML)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = t.Execute(w, view)
}

// payAnswer is the customer's word, and the way back to the shop.
func (l *Lab) payAnswer(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	id := r.PathValue("id")
	if r.FormValue("answer") == "pay" {
		_, _ = l.Pay(id, 0) // what was answered before stays as it was
	}
	l.mu.Lock()
	v, ok := l.asked(id)
	l.mu.Unlock()
	back := v.fail
	if v.paid {
		back = v.success
	}
	if u, err := url.Parse(back); err != nil || !ok || u.Host == "" {
		http.NotFound(w, r)
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// officeRoutes do from outside what happens at Coinbase, for a person at the demo: POST
// /lab/pay/{id} (cents: what comes, in hundredths; empty: all of it), /lab/end/{id}
// (status: EXPIRED or FAILED), and /lab/faults with any of down, lose_answers, lose_hooks,
// double_hooks as "on"; what is not named is switched off.
func (l *Lab) officeRoutes(m *http.ServeMux) {
	on := func(pattern string, do func(r *http.Request) error) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			if err := do(r); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	on("POST /lab/pay/{id}", func(r *http.Request) error {
		var paid int64
		if text := r.FormValue("cents"); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n <= 0 {
				return errNotAmount
			}
			paid = n
		}
		_, err := l.Pay(r.PathValue("id"), paid)
		return err
	})
	on("POST /lab/end/{id}", func(r *http.Request) error { return l.Expire(r.PathValue("id"), r.FormValue("status")) })
	on("POST /lab/faults", func(r *http.Request) error {
		set := func(name string) bool { return r.FormValue(name) == "on" }
		l.SetFaults(Faults{Down: set("down"), LoseAnswers: set("lose_answers"), LoseHooks: set("lose_hooks"), DoubleHooks: set("double_hooks")})
		return nil
	})
}
