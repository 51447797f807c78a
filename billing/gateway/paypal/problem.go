package paypal

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// problem is an answer that refuses.
type problem struct {
	status  int
	Name    string `json:"name"`
	Message string `json:"message"`
	DebugID string `json:"debug_id"`
	Details []struct {
		Issue string `json:"issue"`
		Field string `json:"field"`
	} `json:"details"`
	Links []link `json:"links"`
}

// issue is the one word for what is wrong.
func (p *problem) issue() string {
	if len(p.Details) > 0 && p.Details[0].Issue != "" {
		return p.Details[0].Issue
	}
	return p.Name
}

// Error is for the log. It repeats no value of ours.
func (p *problem) Error() string {
	field := ""
	if len(p.Details) > 0 {
		field = " at " + p.Details[0].Field
	}
	return fmt.Sprintf("status %d, %.60s%.120s, debug id %.60s", p.status, p.issue(), field, p.DebugID)
}

// issueOf is the issue of an answer that refuses; empty: it is none.
func issueOf(err error) string {
	var p *problem
	if !errors.As(err, &p) {
		return ""
	}
	return p.issue()
}

// statusOf is the status of an answer that refuses; 0: it is none.
func statusOf(err error) int {
	var p *problem
	if !errors.As(err, &p) {
		return 0
	}
	return p.status
}

// translate says in the contract's words what went wrong. What is none of them is a
// mistake of ours and stays as it is.
func translate(doing string, err error) error {
	var p *problem
	switch {
	case errors.Is(err, gateway.ErrUnavailable), errors.Is(err, gateway.ErrCredentials): // of signing in
		return err
	case !errors.As(err, &p):
		return fmt.Errorf("paypal: %s: %w: %w", doing, gateway.ErrUnavailable, err)
	case p.status == http.StatusUnauthorized, p.status == http.StatusForbidden:
		return fmt.Errorf("paypal: %s: %w: %w", doing, gateway.ErrCredentials, p)
	case p.status == http.StatusNotFound, p.issue() == "INVALID_RESOURCE_ID", p.issue() == "RESOURCE_NOT_FOUND":
		return fmt.Errorf("paypal: %s: %w: %w", doing, gateway.ErrNotFound, p)
	case p.status >= http.StatusInternalServerError, p.status == http.StatusTooManyRequests, p.status == http.StatusConflict,
		p.issue() == "DUPLICATE_REQUEST_ID", p.issue() == "PREVIOUS_REQUEST_IN_PROGRESS", p.issue() == "ORDER_COMPLETION_IN_PROGRESS",
		// The same attempt went through before and its answer was lost longer ago than
		// PayPal remembers requests: its notification tells.
		p.issue() == "DUPLICATE_INVOICE_ID":
		return fmt.Errorf("paypal: %s: %w: %w", doing, gateway.ErrUnavailable, p)
	}
	return fmt.Errorf("paypal: %s: %w", doing, p)
}

// declines are the refusals of a charge that are the customer's to solve, and what the
// customer reads.
var declines = map[string]string{ //nolint:gochecknoglobals // a constant table
	"INSTRUMENT_DECLINED":                     "PayPal could not take the money from the bank or card you chose there. Please choose another one at PayPal, or pay in another way.",
	"PAYMENT_SOURCE_DECLINED_BY_PROCESSOR":    "PayPal could not take the money from the bank or card you chose there. Please choose another one at PayPal, or pay in another way.",
	"TRANSACTION_REFUSED":                     "PayPal refused this payment. Please pay in another way, or ask PayPal.",
	"COMPLIANCE_VIOLATION":                    "PayPal refused this payment. Please pay in another way, or ask PayPal.",
	"PAYER_CANNOT_PAY":                        "PayPal does not let this account pay us. Please pay in another way, or ask PayPal.",
	"PAYER_ACCOUNT_RESTRICTED":                "Your PayPal account is restricted. Please ask PayPal, or pay in another way.",
	"PAYER_ACCOUNT_LOCKED_OR_CLOSED":          "This PayPal account is locked or closed. Please pay in another way.",
	"PAYEE_BLOCKED_TRANSACTION":               "PayPal stopped this payment. Please pay in another way.",
	"TRANSACTION_BLOCKED_BY_PAYEE":            "PayPal stopped this payment. Please pay in another way.",
	"DOMESTIC_TRANSACTION_REQUIRED":           "PayPal does not send money from your country to us. Please pay in another way.",
	"TRANSACTION_LIMIT_EXCEEDED":              "This is more than your PayPal account may pay at once. Please pay in another way, or ask PayPal.",
	"TRANSACTION_RECEIVING_LIMIT_EXCEEDED":    "PayPal cannot pass this payment on to us at the moment. Please pay in another way.",
	"MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED": "It was tried too often at PayPal. Please pay in another way.",
	"PAYER_ACTION_REQUIRED":                   "PayPal wants you to confirm this payment.",
	"REDIRECT_PAYER_FOR_ALTERNATE_FUNDING":    "PayPal wants you to choose another bank or card for this payment.",
	"TOKEN_ID_NOT_FOUND":                      "This PayPal account is no longer saved here. Please choose another way to pay.",
	"AGREEMENT_ALREADY_CANCELLED":             "This PayPal account is no longer saved here. Please choose another way to pay.",
	"BILLING_AGREEMENT_NOT_FOUND":             "This PayPal account is no longer saved here. Please choose another way to pay.",
	"REFERENCED_CARD_EXPIRED":                 "The card behind this PayPal account has expired. Please choose another way to pay.",
	"CAPTURE_DECLINED":                        "PayPal could not take the money. Nothing was charged: please pay in another way.",
	"CURRENCY_NOT_SUPPORTED":                  "PayPal does not take this currency. Please pay in another way.",
	"INVALID_CURRENCY_CODE":                   "PayPal does not take this currency. Please pay in another way.",
	"DECIMAL_PRECISION":                       "PayPal takes whole amounts of this currency only. Please pay in another way.",
}

// declineOf is a decline with an issue; nil: it is none of the customer's.
func declineOf(issue string) *gateway.Decline {
	text, ok := declines[issue]
	if !ok {
		return nil
	}
	code := strings.ToLower(issue)
	return &gateway.Decline{Kind: billing.RefusalOf(code), Code: code, Text: text}
}
