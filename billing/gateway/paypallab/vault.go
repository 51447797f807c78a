package paypallab

import (
	"net/http"
	"strings"
)

// Payer is what a customer's PayPal account does when it is to pay.
type Payer string

// The payers of the simulator.
const (
	Pays     Payer = "pays"
	Declines Payer = "declines" // the bank behind it refuses
	Waits    Payer = "waits"    // PayPal looks at it for a while
	Confirms Payer = "confirms" // it pays when its owner is there, and not for a later charge
)

func emailOf(p Payer) string { return "buyer-" + string(p) + "@example.com" }

// setup is an account that is to be kept, once its customer agrees.
type setup struct {
	id, status, customer, returnURL, cancelURL string
	payer                                      *wallet
}

// keep puts a customer's account into the vault.
func (c *call) keep(email string, does Payer, customer string) *wallet {
	if customer == "" {
		customer = newID()
	}
	w := &wallet{id: strings.ToLower(newID()), customer: customer, email: email, does: does}
	c.a.kept[w.id] = w
	return w
}

// Keep puts an account into a seller's vault, and returns its token and customer.
func (l *Lab) Keep(clientID string, does Payer) (ref, customer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.holding(func(a *account) bool { return a.client == clientID })
	if c == nil {
		return "", ""
	}
	w := c.keep(emailOf(does), does, "")
	return w.id, w.customer
}

func (c *call) newSetup() answer {
	var ask struct {
		Customer struct {
			ID string `json:"id"`
		} `json:"customer"`
		Source struct {
			PayPal *struct {
				Usage   string `json:"usage_type"`
				Context struct {
					Return string `json:"return_url"`
					Cancel string `json:"cancel_url"`
				} `json:"experience_context"`
			} `json:"paypal"`
		} `json:"payment_source"`
	}
	switch {
	case !c.read(&ask) || ask.Source.PayPal == nil || ask.Source.PayPal.Context.Return == "":
		return invalid("/payment_source")
	case c.lab.faults.NoVault:
		return refuse(http.StatusForbidden, "NOT_AUTHORIZED", "PERMISSION_DENIED", "")
	}
	s := &setup{id: newID(), status: created, customer: ask.Customer.ID, returnURL: ask.Source.PayPal.Context.Return, cancelURL: ask.Source.PayPal.Context.Cancel}
	if s.customer == "" {
		s.customer = newID()
	}
	c.a.setups[s.id] = s
	return answer{http.StatusCreated, c.setup(s)}
}

func (c *call) setup(s *setup) object {
	links := []any{object{"rel": "self", "href": c.base + "/v3/vault/setup-tokens/" + s.id, "method": "GET"}}
	if s.status == created {
		links = append(links, object{"rel": "approve", "href": c.base + "/approve/" + s.id, "method": "GET"})
	}
	return object{"id": s.id, "status": s.status, "customer": object{"id": s.customer}, "payment_source": object{"paypal": object{"usage_type": "MERCHANT"}}, "links": links}
}

func (c *call) getSetup() answer {
	if s := c.a.setups[c.id]; s != nil {
		return answer{http.StatusOK, c.setup(s)}
	}
	return missing()
}

func (c *call) newToken() answer {
	var ask struct {
		Source struct {
			Token struct{ ID, Type string } `json:"token"`
		} `json:"payment_source"`
	}
	if !c.read(&ask) || ask.Source.Token.Type != "SETUP_TOKEN" {
		return invalid("/payment_source/token")
	}
	s := c.a.setups[ask.Source.Token.ID]
	if s == nil {
		return missing()
	}
	if s.status != approved {
		return unprocessable("TOKEN_NOT_APPROVED")
	}
	w := c.keep(s.payer.email, s.payer.does, s.customer)
	s.status = "VAULTED"
	c.tell("VAULT.PAYMENT-TOKEN.CREATED", "payment_token", c.wallet(w))
	return answer{http.StatusCreated, c.wallet(w)}
}

func (c *call) wallet(w *wallet) object {
	return object{
		"id": w.id, "customer": object{"id": w.customer}, "payment_source": object{"paypal": object{"email_address": w.email, "usage_type": "MERCHANT"}},
		"links": []any{object{"rel": "self", "href": c.base + "/v3/vault/payment-tokens/" + w.id, "method": "GET"}},
	}
}

func (c *call) dropToken() answer {
	w := c.a.kept[c.id]
	if w == nil {
		return missing()
	}
	delete(c.a.kept, w.id)
	c.tell("VAULT.PAYMENT-TOKEN.DELETED", "payment_token", c.wallet(w))
	return answer{http.StatusNoContent, nil}
}
