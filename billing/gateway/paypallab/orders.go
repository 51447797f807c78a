package paypallab

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type money struct {
	Currency string `json:"currency_code"`
	Value    string `json:"value"`
}

// currencies are those PayPal takes.
var currencies = strings.Fields("AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD") //nolint:gochecknoglobals // a constant list

// wrong is what is wrong with an amount; empty: nothing.
func (m money) wrong() string {
	_, parts, _ := strings.Cut(m.Value, ".")
	switch {
	case !slices.Contains(currencies, m.Currency):
		return "INVALID_CURRENCY_CODE"
	case len(parts) > 2, parts != "" && slices.Contains([]string{"HUF", "JPY", "TWD"}, m.Currency):
		return "DECIMAL_PRECISION"
	case m.cents() <= 0:
		return "CANNOT_BE_ZERO_OR_NEGATIVE"
	}
	return ""
}

// cents are hundredths, also of currencies that have none.
func (m money) cents() int64 {
	major, minor, _ := strings.Cut(m.Value, ".")
	n, err := strconv.ParseInt(major+(minor + "00")[:2], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (m money) of(cents int64) money {
	text := fmt.Sprintf("%d.%02d", cents/100, cents%100)
	if slices.Contains([]string{"HUF", "JPY", "TWD"}, m.Currency) {
		text = strconv.FormatInt(cents/100, 10)
	}
	return money{m.Currency, text}
}

// The statuses of orders, captures and refunds.
const (
	created   = "PAYER_ACTION_REQUIRED"
	approved  = "APPROVED"
	completed = "COMPLETED"
	pending   = "PENDING"
	declined  = "DECLINED"
	failed    = "FAILED"
)

// wallet is a customer's PayPal account, kept for a seller or not.
type wallet struct {
	id, customer, email string
	does                Payer
}

type capture struct {
	id, status, created string
}

func (c *capture) taken() bool { return c.status == completed }

type order struct {
	id, status, created, updated   string
	amount                         money
	description, customID, invoice string
	returnURL, cancelURL, customer string
	keep                           bool
	payer                          *wallet
	capture                        *capture
	refunds                        []*refund
}

type orderAsk struct {
	Intent string `json:"intent"`
	Units  []struct {
		Amount      money  `json:"amount"`
		Description string `json:"description"`
		CustomID    string `json:"custom_id"`
		InvoiceID   string `json:"invoice_id"`
	} `json:"purchase_units"`
	Source struct {
		PayPal *struct {
			VaultID    string `json:"vault_id"`
			Attributes struct {
				Customer struct {
					ID string `json:"id"`
				} `json:"customer"`
				Vault struct {
					Store string `json:"store_in_vault"`
				} `json:"vault"`
			} `json:"attributes"`
			Context struct {
				Return string `json:"return_url"`
				Cancel string `json:"cancel_url"`
			} `json:"experience_context"`
		} `json:"paypal"`
	} `json:"payment_source"`
}

func (c *call) newOrder() answer {
	var ask orderAsk
	switch {
	case !c.read(&ask) || ask.Intent != "CAPTURE" || len(ask.Units) != 1:
		return invalid("/purchase_units")
	case ask.Source.PayPal == nil:
		return invalid("/payment_source") // the simulator knows no other order
	case c.req == "":
		return refuse(http.StatusBadRequest, "INVALID_REQUEST", "PAYPAL_REQUEST_ID_REQUIRED", "")
	}
	u, p := ask.Units[0], ask.Source.PayPal
	if issue := u.Amount.wrong(); issue != "" {
		return unprocessable(issue)
	}
	o := &order{
		id: newID(), status: created, created: c.lab.now(), updated: c.lab.now(), amount: u.Amount, description: u.Description, customID: u.CustomID, invoice: u.InvoiceID,
		returnURL: p.Context.Return, cancelURL: p.Context.Cancel, customer: p.Attributes.Customer.ID, keep: p.Attributes.Vault.Store == "ON_SUCCESS",
	}
	if o.keep && c.lab.faults.NoVault {
		return unprocessable("NOT_ENABLED_TO_VAULT_PAYMENT_SOURCE")
	}
	if p.VaultID == "" {
		if o.returnURL == "" || o.cancelURL == "" {
			return invalid("/payment_source/paypal/experience_context/return_url")
		}
		c.a.orders[o.id] = o
		return answer{http.StatusCreated, c.order(o)}
	}
	if o.payer = c.a.kept[p.VaultID]; o.payer == nil {
		return unprocessable("TOKEN_ID_NOT_FOUND")
	}
	if refused := c.take(o); refused != nil { // then there is no order
		return *refused
	}
	c.a.orders[o.id] = o
	return answer{http.StatusCreated, c.order(o)}
}

// take takes an order's money of its payer.
func (c *call) take(o *order) *answer {
	switch {
	case o.invoice != "" && c.a.invoices[o.invoice]:
		a := unprocessable("DUPLICATE_INVOICE_ID")
		return &a
	case o.payer.does == Declines:
		a := unprocessable("INSTRUMENT_DECLINED", object{"rel": "redirect", "href": c.base + "/approve/" + o.id, "method": "GET"})
		return &a
	case o.payer.does == Confirms && o.payer.id != "": // only the customer can
		a := unprocessable("PAYER_ACTION_REQUIRED", object{"rel": "payer-action", "href": c.base + "/approve/" + o.id, "method": "GET"})
		return &a
	}
	o.capture = &capture{newID(), completed, c.lab.now()}
	if o.payer.does == Waits {
		o.capture.status = pending
	}
	o.status, o.updated = completed, c.lab.now()
	c.a.captures[o.capture.id] = o
	c.a.invoices[o.invoice] = true
	if o.keep {
		w := c.keep(o.payer.email, o.payer.does, o.customer)
		o.payer = w
		c.tell("VAULT.PAYMENT-TOKEN.CREATED", "payment_token", object{"id": w.id, "customer": object{"id": w.customer}, "metadata": object{"order_id": o.id}, "payment_source": object{"paypal": object{"email_address": w.email}}})
	}
	c.tellCapture(o)
	return nil
}

func (c *call) tellCapture(o *order) {
	name := map[string]string{completed: "COMPLETED", pending: "PENDING", declined: "DENIED"}[o.capture.status]
	c.tell("PAYMENT.CAPTURE."+name, "capture", c.capture(o))
}

func (c *call) order(o *order) object {
	u := object{"reference_id": "default", "amount": o.amount, "custom_id": o.customID, "invoice_id": o.invoice}
	if o.description != "" {
		u["description"] = o.description
	}
	paypal := object{}
	if o.payer != nil {
		paypal["email_address"] = o.payer.email
		if o.payer.id != "" && o.keep {
			paypal["attributes"] = object{"vault": object{"id": o.payer.id, "status": "VAULTED", "customer": object{"id": o.payer.customer}}}
		}
	}
	links := []any{object{"rel": "self", "href": c.base + "/v2/checkout/orders/" + o.id, "method": "GET"}}
	if o.status == created || o.status == approved {
		links = append(links, object{"rel": "payer-action", "href": c.base + "/approve/" + o.id, "method": "GET"})
	}
	if o.capture != nil {
		payments := object{"captures": []any{c.capture(o)}}
		var refunds []any
		for _, r := range o.refunds {
			refunds = append(refunds, c.refund(r))
		}
		if refunds != nil {
			payments["refunds"] = refunds
		}
		u["payments"] = payments
	}
	return object{
		"id": o.id, "intent": "CAPTURE", "status": o.status, "create_time": o.created, "update_time": o.updated, "purchase_units": []any{u},
		"payment_source": object{"paypal": paypal}, "links": links,
	}
}

func (c *call) capture(o *order) object {
	status := o.capture.status
	var back int64
	for _, r := range o.refunds {
		if r.status == completed {
			back += r.amount.cents()
		}
	}
	if status == completed && back > 0 {
		status = "PARTIALLY_REFUNDED"
		if back >= o.amount.cents() {
			status = "REFUNDED"
		}
	}
	out := object{
		"id": o.capture.id, "status": status, "amount": o.amount, "final_capture": true, "custom_id": o.customID, "invoice_id": o.invoice,
		"create_time": o.capture.created, "update_time": o.updated, "supplementary_data": object{"related_ids": object{"order_id": o.id}},
		"links": []any{object{"rel": "self", "href": c.base + "/v2/payments/captures/" + o.capture.id, "method": "GET"}, object{"rel": "up", "href": c.base + "/v2/checkout/orders/" + o.id, "method": "GET"}},
	}
	if status == pending {
		out["status_details"] = object{"reason": "PENDING_REVIEW"}
	}
	return out
}

func (c *call) getOrder() answer {
	if o := c.a.orders[c.id]; o != nil {
		return answer{http.StatusOK, c.order(o)}
	}
	return missing()
}

func (c *call) captureOrder() answer {
	o := c.a.orders[c.id]
	switch {
	case o == nil:
		return missing()
	case o.capture != nil:
		return unprocessable("ORDER_ALREADY_CAPTURED")
	case o.status != approved:
		return unprocessable("ORDER_NOT_APPROVED")
	}
	if refused := c.take(o); refused != nil {
		o.status, o.updated = created, c.lab.now() // to be approved anew
		return *refused
	}
	return answer{http.StatusCreated, c.order(o)}
}

func (c *call) getCapture() answer {
	if o := c.a.captures[c.id]; o != nil {
		return answer{http.StatusOK, c.capture(o)}
	}
	return missing()
}
