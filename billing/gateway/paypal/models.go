package paypal

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// order is what PayPal says of one.
type order struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Updated string `json:"update_time"`
	Links   []link `json:"links"`
	Units   []struct {
		Amount   money  `json:"amount"`
		CustomID string `json:"custom_id"`
		Payments struct {
			Captures []capture `json:"captures"`
			Refunds  []refund  `json:"refunds"`
		} `json:"payments"`
	} `json:"purchase_units"`
	Source struct {
		PayPal struct {
			Email      string `json:"email_address"`
			Attributes struct {
				Vault struct {
					ID       string   `json:"id"`
					Customer customer `json:"customer"`
				} `json:"vault"`
			} `json:"attributes"`
		} `json:"paypal"`
	} `json:"payment_source"`
}

// capture is money that was taken, or was to be.
type capture struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Amount   money  `json:"amount"`
	CustomID string `json:"custom_id"`
	Data     struct {
		Related struct {
			Order string `json:"order_id"`
		} `json:"related_ids"`
	} `json:"supplementary_data"`
}

// taken reports whether the money came, whatever was given back since.
func (c capture) taken() bool {
	return c.Status == "COMPLETED" || c.Status == "PARTIALLY_REFUNDED" || c.Status == "REFUNDED"
}

// payment is an order as the contract sees it.
func (o order) payment() gateway.Payment {
	p := gateway.Payment{Ref: o.ID, State: gateway.RequiresAction, Method: o.method()}
	if len(o.Units) == 0 {
		return p
	}
	u := o.Units[0]
	p.Key, p.Amount = keyOf(u.CustomID), u.Amount.money()
	p.Received = billing.Money{Currency: p.Amount.Currency}
	p.CustomerRef = o.Source.PayPal.Attributes.Vault.Customer.ID
	for _, c := range u.Payments.Captures {
		switch {
		case c.taken():
			p.State, p.Decline = gateway.Succeeded, nil
			p.Received.Minor += c.Amount.money().Minor
		case p.State == gateway.Succeeded:
		case c.Status == "PENDING":
			p.State, p.Decline = gateway.Processing, nil
		default:
			p.State, p.Decline = gateway.Failed, declineOf("CAPTURE_DECLINED")
		}
	}
	if len(u.Payments.Captures) > 0 {
		return p
	}
	switch o.Status {
	case "VOIDED":
		p.State = gateway.Cancelled
	case "COMPLETED":
		p.State = gateway.Processing
	case "APPROVED":
		p.Agreed = true
	}
	if p.State == gateway.RequiresAction {
		p.ActionURL = hrefOf(o.Links, "payer-action", "approve")
	}
	return p
}

// method is what an order is paid with.
func (o order) method() *gateway.Method {
	w := o.Source.PayPal
	if w.Email == "" && w.Attributes.Vault.ID == "" {
		return nil
	}
	return methodOf(w.Attributes.Vault.ID, w.Attributes.Vault.Customer.ID, w.Email)
}

func methodOf(ref, customer, email string) *gateway.Method {
	m := &gateway.Method{Ref: ref, CustomerRef: customer, Kind: Code, Label: "PayPal"}
	if ref == "" {
		m.CustomerRef = "" // it is not kept
	}
	if email != "" {
		m.Label = "PayPal " + short(email, 120)
		sum := sha256.Sum256([]byte(strings.ToLower(email)))
		m.Fingerprint = hex.EncodeToString(sum[:8])
	}
	return m
}

// refund is money given back.
type refund struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Amount   money  `json:"amount"`
	CustomID string `json:"custom_id"`
	Details  struct {
		Reason string `json:"reason"`
	} `json:"status_details"`
	Links []link `json:"links"`
}

func (r refund) refunded(payment string) gateway.Refunded {
	out := gateway.Refunded{Ref: r.ID, Key: keyOf(r.CustomID), Payment: payment, State: gateway.Processing, Amount: r.Amount.money()}
	switch r.Status {
	case "COMPLETED":
		out.State = gateway.Succeeded
	case "FAILED", "CANCELLED":
		out.State, out.Text = gateway.Failed, "PayPal did not give the money back."
	}
	return out
}

// dispute is a payment whose customer objects.
type dispute struct {
	ID           string    `json:"dispute_id"`
	Created      time.Time `json:"create_time"`
	Status       string    `json:"status"`
	Reason       string    `json:"reason"`
	Amount       money     `json:"dispute_amount"`
	Stage        string    `json:"dispute_life_cycle_stage"`
	AnswerBy     time.Time `json:"seller_response_due_date"`
	Transactions []struct {
		Capture string `json:"seller_transaction_id"`
	} `json:"disputed_transactions"`
	Outcome struct {
		Code string `json:"outcome_code"`
	} `json:"dispute_outcome"`
	Movements []struct {
		Party  string `json:"affected_party"`
		Type   string `json:"type"`
		Reason string `json:"reason"`
		Amount money  `json:"amount"`
	} `json:"money_movements"`
}

// disputeReasons are PayPal's words in the contract's.
var disputeReasons = map[string]string{ //nolint:gochecknoglobals // a constant table
	"MERCHANDISE_OR_SERVICE_NOT_RECEIVED": "product_not_received", "MERCHANDISE_OR_SERVICE_NOT_AS_DESCRIBED": "product_unacceptable",
	"UNAUTHORISED": "fraudulent", "CREDIT_NOT_PROCESSED": "credit_not_processed", "DUPLICATE_TRANSACTION": "duplicate", "CANCELED_RECURRING_BILLING": "subscription_canceled",
}

// dispute is how it stands, of a payment. What PayPal moved between the two for it is told
// in its movements; a refund that the seller gave to end it is a refund like any other.
func (d dispute) dispute(payment string) gateway.Dispute {
	out := gateway.Dispute{
		Ref: d.ID, Payment: payment, State: gateway.UnderReview, Inquiry: d.Stage == "INQUIRY", Reason: disputeReasons[d.Reason],
		Amount: d.Amount.money(), Withdrawn: billing.Money{Currency: d.Amount.Currency}, OpenedAt: d.Created.UTC(),
	}
	if out.Reason == "" {
		out.Reason = "general"
	}
	for _, m := range d.Movements {
		if m.Party != "SELLER" || m.Reason != "DISPUTE_SETTLEMENT" || m.Amount.Currency != d.Amount.Currency {
			continue
		}
		out.Moves++
		if m.Type == "CREDIT" {
			out.Withdrawn.Minor -= m.Amount.money().Minor
		} else {
			out.Withdrawn.Minor += m.Amount.money().Minor
		}
	}
	out.Withdrawn.Minor = max(out.Withdrawn.Minor, 0)
	switch {
	case d.Status == "RESOLVED" && (out.Withdrawn.Minor > 0 || d.Outcome.Code == "RESOLVED_BUYER_FAVOUR" || d.Outcome.Code == "ACCEPTED"):
		out.State = gateway.Lost
	case d.Status == "RESOLVED":
		out.State = gateway.Won
	case d.Status == "WAITING_FOR_SELLER_RESPONSE":
		out.State, out.EvidenceBy = gateway.NeedsResponse, d.AnswerBy.UTC()
	}
	return out
}
