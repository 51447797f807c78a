package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing/gateway"
)

// Shared is one shop's part of an account that takes payments for several: what was made
// for another shop, or for nobody, is not there, and cannot be charged, given back,
// cancelled or forgotten. It can neither register webhooks nor verify any: whoever owns the
// account does, and hands on what is a shop's (see gateway.Sharer).
type Shared struct {
	g        *Gateway
	currency string
}

var (
	_ gateway.Gateway  = (*Shared)(nil)
	_ gateway.Saver    = (*Shared)(nil)
	_ gateway.Browser  = (*Shared)(nil)
	_ gateway.Overseer = (*Shared)(nil)
)

// NewShared opens cfg.Shop's part of an account. Payments are taken in one currency.
func NewShared(cfg Config, currency string) (*Shared, error) {
	if cfg.Shop == "" || cfg.Account != "" || len(currency) != 3 {
		return nil, fmt.Errorf("stripe: a part of an account: %w", gateway.ErrCredentials)
	}
	cfg.WebhookSecrets, cfg.part = nil, true
	g, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &Shared{g, currency}, nil
}

// StatementOf is a shop's name as a customer's statement may show it, behind the account's
// own: at most ten letters, digits and spaces. Empty: nothing of it can be shown.
func StatementOf(name string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == ' ':
			return r
		}
		return -1
	}, name)
	kept = strings.Join(strings.Fields(kept), " ")
	kept = strings.TrimSpace(kept[:min(len(kept), 10)])
	if strings.Trim(kept, "0123456789 ") == "" {
		return "" // Stripe wants a letter
	}
	return kept
}

// sign says with what is made for whom.
func (g *Gateway) sign(p interface{ AddMetadata(key, value string) }) {
	p.AddMetadata(metaShop, g.cfg.Shop)
	if g.cfg.part {
		p.AddMetadata(metaPart, g.cfg.Shop)
	}
}

// key is an idempotency key: those of one account are one another's, those of shops not.
func (g *Gateway) key(k string) string {
	if g.cfg.part {
		return "part/" + g.cfg.Shop + "/" + k
	}
	return k
}

func notMine(what string) error {
	return fmt.Errorf("stripe: %s of another shop: %w", what, gateway.ErrNotFound)
}

func (s *Shared) mine(meta map[string]string) bool { return meta[metaPart] == s.g.cfg.Shop }

// customer checks that a customer is this shop's.
func (s *Shared) customer(ctx context.Context, ref string) error {
	if ref == "" {
		return nil // it is made
	}
	c, err := s.g.readCustomer(ctx, ref)
	if err == nil && !s.mine(c.Metadata) {
		err = notMine("a customer")
	}
	return err
}

// method checks that a saved method is this shop's, and answers whose it is. One that is
// gone is nobody's: Stripe says so where it is charged.
func (s *Shared) method(ctx context.Context, ref string) (customer string, err error) {
	p := &stripego.PaymentMethodParams{}
	p.Context = ctx
	p.AddExpand("customer")
	pm, err := s.g.api.PaymentMethods.Get(ref, p)
	if err != nil {
		if err = translate("read a card", err); errors.Is(err, gateway.ErrNotFound) {
			err = nil
		}
		return "", err
	}
	if pm.Customer == nil {
		return "", nil
	}
	if !s.mine(pm.Customer.Metadata) {
		return "", notMine("a card")
	}
	return pm.Customer.ID, nil
}

// Charge is Gateway's, of a customer and a card of this shop.
func (s *Shared) Charge(ctx context.Context, c gateway.Charge) (gateway.Payment, error) {
	if c.Amount.Currency != s.currency || c.Kind == gateway.DirectDebit {
		return gateway.Payment{Key: c.Key, State: gateway.Failed, Amount: c.Amount,
			Decline: &gateway.Decline{Kind: gateway.Hard, Code: "currency_not_supported", Text: "Cards are taken in " + s.currency + " only. Please pay in another way."}}, nil
	}
	of := ""
	if c.Method != "" {
		var err error
		if of, err = s.method(ctx, c.Method); err != nil {
			return gateway.Payment{}, err
		}
	}
	if of == "" || of != c.Customer.Ref {
		if err := s.customer(ctx, c.Customer.Ref); err != nil {
			return gateway.Payment{}, err
		}
	}
	return s.only(s.g.Charge(ctx, c))
}

// only lets this shop's payments through. One that has no ref was made nowhere.
func (s *Shared) only(p gateway.Payment, err error) (gateway.Payment, error) {
	if err == nil && p.Ref != "" && p.Shop != s.g.cfg.Shop {
		return gateway.Payment{}, notMine("a payment")
	}
	return p, err
}

// Payment is Gateway's.
func (s *Shared) Payment(ctx context.Context, ref string) (gateway.Payment, error) {
	return s.only(s.g.Payment(ctx, ref))
}

// Cancel is Gateway's.
func (s *Shared) Cancel(ctx context.Context, ref string) (gateway.Payment, error) {
	if p, err := s.Payment(ctx, ref); err != nil {
		return p, err
	}
	return s.g.Cancel(ctx, ref)
}

// Refund is Gateway's.
func (s *Shared) Refund(ctx context.Context, r gateway.Refund) (gateway.Refunded, error) {
	if _, err := s.Payment(ctx, r.Payment); err != nil {
		return gateway.Refunded{}, err
	}
	return s.g.Refund(ctx, r)
}

// Refunded is Gateway's.
func (s *Shared) Refunded(ctx context.Context, ref string) (gateway.Refunded, error) {
	r, err := s.g.Refunded(ctx, ref)
	if err == nil && r.Payment == "" {
		err = notMine("a refund")
	}
	if err == nil {
		_, err = s.Payment(ctx, r.Payment)
	}
	if err != nil {
		return gateway.Refunded{}, err
	}
	return r, nil
}

// RefundsOf is Gateway's.
func (s *Shared) RefundsOf(ctx context.Context, paymentRef string) ([]gateway.Refunded, error) {
	if _, err := s.Payment(ctx, paymentRef); err != nil {
		return nil, err
	}
	return s.g.RefundsOf(ctx, paymentRef)
}

// Dispute is Gateway's.
func (s *Shared) Dispute(ctx context.Context, ref string) (gateway.Dispute, error) {
	d, err := s.g.Dispute(ctx, ref)
	if err == nil && d.Payment == "" {
		err = notMine("a dispute")
	}
	if err == nil {
		_, err = s.Payment(ctx, d.Payment)
	}
	if err != nil {
		return gateway.Dispute{}, err
	}
	return d, nil
}

// Event takes nothing: notifications of the account are its owner's to verify.
func (s *Shared) Event(context.Context, http.Header, []byte, time.Time) (gateway.Event, error) {
	return gateway.Event{}, fmt.Errorf("stripe: notifications of a shared account: %w", gateway.ErrUnsupported)
}

// Check asks whether the account takes payments; it says nothing of whose it is.
func (s *Shared) Check(ctx context.Context) (gateway.Health, error) {
	h, err := s.g.Check(ctx)
	return gateway.Health{Account: "The platform's account", Live: h.Live}, err
}

// Setup is Gateway's.
func (s *Shared) Setup(ctx context.Context, key string, c gateway.Customer, returnURL string) (gateway.Setup, error) {
	if err := s.customer(ctx, c.Ref); err != nil {
		return gateway.Setup{}, err
	}
	return s.g.Setup(ctx, key, c, returnURL)
}

// SetupState is Gateway's.
func (s *Shared) SetupState(ctx context.Context, ref string) (gateway.Setup, error) {
	st, err := s.g.SetupState(ctx, ref)
	if err == nil && st.Shop != s.g.cfg.Shop {
		return gateway.Setup{}, notMine("a setup")
	}
	return st, err
}

// Forget is Gateway's.
func (s *Shared) Forget(ctx context.Context, methodRef string) error {
	of, err := s.method(ctx, methodRef)
	if err != nil || of == "" {
		return err // gone already
	}
	return s.g.Forget(ctx, methodRef)
}

// Script is Gateway's.
func (s *Shared) Script() (script, publicKey string, origins []string) { return s.g.Script() }

func (g *Gateway) readCustomer(ctx context.Context, ref string) (*stripego.Customer, error) {
	p := &stripego.CustomerParams{}
	p.Context = ctx
	c, err := g.api.Customers.Get(ref, p)
	if err != nil {
		return nil, translate("read a customer", err)
	}
	return c, nil
}

// Whose asks Stripe for which shop that was made which a notification is about: it stands
// with payments and setups themselves, and with the customers of cards.
func (g *Gateway) Whose(ctx context.Context, e gateway.Stored) (string, error) {
	shop, err := g.whose(ctx, e)
	if errors.Is(err, gateway.ErrNotFound) {
		return "", nil
	}
	return shop, err
}

func (g *Gateway) whose(ctx context.Context, e gateway.Stored) (string, error) {
	var body struct {
		Data struct {
			Object struct {
				Metadata      map[string]string `json:"metadata"`
				Customer      json.RawMessage   `json:"customer"`
				PaymentMethod json.RawMessage   `json:"payment_method"`
			} `json:"object"`
			Previous struct {
				Customer json.RawMessage `json:"customer"`
			} `json:"previous_attributes"`
		} `json:"data"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return "", nil // it was an event when it was verified
	}
	o := body.Data.Object
	switch e.Kind {
	case gateway.PaymentChanged, gateway.SetupChanged:
		return o.Metadata[metaPart], nil
	case gateway.RefundChanged, gateway.DisputeChanged:
		if e.Payment == "" {
			return "", nil
		}
		p, err := g.Payment(ctx, e.Payment)
		return p.Shop, err
	case gateway.MethodChanged, gateway.MethodGone:
		customer := idIn(o.Customer)
		if customer == "" {
			customer = idIn(body.Data.Previous.Customer) // a card that was let go
		}
		if customer == "" {
			return "", nil
		}
		c, err := g.readCustomer(ctx, customer)
		if err != nil {
			return "", err
		}
		return c.Metadata[metaPart], nil
	}
	return "", nil
}

// DisputesOf lists the disputes of a PaymentIntent.
func (g *Gateway) DisputesOf(ctx context.Context, paymentRef string) ([]gateway.Dispute, error) {
	p := &stripego.DisputeListParams{PaymentIntent: stripego.String(paymentRef)}
	p.Context = ctx
	p.Limit = stripego.Int64(100)
	var all []gateway.Dispute
	list := g.api.Disputes.List(p)
	for list.Next() {
		all = append(all, disputeOf(list.Dispute()))
	}
	if err := list.Err(); err != nil {
		return nil, translate("list disputes", err)
	}
	return all, nil
}
