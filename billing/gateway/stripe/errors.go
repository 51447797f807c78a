package stripe

import (
	"errors"
	"fmt"
	"net/http"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// translate says in the contract's words what went wrong. What is none of them is a
// mistake of ours and stays as it is.
func translate(doing string, err error) error {
	var se *stripego.Error
	if !errors.As(err, &se) {
		return fmt.Errorf("stripe: %s: %w: %w", doing, gateway.ErrUnavailable, err)
	}
	switch {
	case se.HTTPStatusCode == http.StatusUnauthorized, se.HTTPStatusCode == http.StatusForbidden:
		return fmt.Errorf("stripe: %s: %w: %s", doing, gateway.ErrCredentials, se.Code)
	case se.HTTPStatusCode == http.StatusNotFound, se.Code == stripego.ErrorCodeResourceMissing:
		return fmt.Errorf("stripe: %s: %w", doing, gateway.ErrNotFound)
	case se.HTTPStatusCode >= http.StatusInternalServerError, se.HTTPStatusCode == http.StatusTooManyRequests, se.HTTPStatusCode == http.StatusConflict:
		return fmt.Errorf("stripe: %s: %w: status %d", doing, gateway.ErrUnavailable, se.HTTPStatusCode)
	}
	return fmt.Errorf("stripe: %s: status %d, %s, %s: %s", doing, se.HTTPStatusCode, se.Code, se.Param, se.Msg)
}

// declineOf says why a card was refused and what that asks of us.
func declineOf(se *stripego.Error) *gateway.Decline {
	if se == nil {
		return nil
	}
	d := &gateway.Decline{Kind: gateway.Soft, Code: string(se.Code), Text: texts["generic_decline"]}
	if se.DeclineCode != "" {
		d.Code = string(se.DeclineCode)
	}
	if said, ok := texts[d.Code]; ok {
		d.Text = said
	}
	d.Kind = billing.RefusalOf(d.Code)
	return d
}

// texts are what customers read. A card reported lost or stolen is declined like any
// other: who holds it need not know that we know.
var texts = map[string]string{ //nolint:gochecknoglobals // a constant table
	"generic_decline":                       "Your bank declined this card. Please try another one, or ask your bank.",
	"insufficient_funds":                    "There is not enough money on the account. Please try another way to pay.",
	"expired_card":                          "This card has expired. Please use another one.",
	"incorrect_cvc":                         "The security code is wrong. Please look at the card and try again.",
	"incorrect_number":                      "The card number is wrong. Please look at the card and try again.",
	"invalid_number":                        "The card number is wrong. Please look at the card and try again.",
	"authentication_required":               "Your bank wants you to confirm this payment.",
	"payment_intent_authentication_failure": "The payment was not confirmed with your bank, so nothing was charged. Please try again or use another card.",
	"setup_intent_authentication_failure":   "The card was not confirmed with your bank. Please try again or use another card.",
	"card_not_supported":                    "This card cannot be used for this kind of payment. Please try another one.",
	"currency_not_supported":                "This card cannot pay in this currency. Please try another one.",
	"processing_error":                      "Something went wrong at the bank. Nothing was charged: please try again in a moment.",
	"try_again_later":                       "The bank could not decide just now. Please try again in a few minutes.",
	"invalid_bank_account_iban":             "This is not an account that can be collected from. Please look at the IBAN again.",
	"debit_not_authorized":                  "The bank says that this debit was not allowed. Please pay in another way.",
	"account_closed":                        "This bank account is closed. Please use another one.",
	"no_account":                            "The bank does not know this account. Please use another one.",
	"bank_account_restricted":               "This bank account does not allow debits. Please use another one.",
	"refer_to_customer":                     "The bank did not carry the debit out and gives no reason. Please ask your bank, or pay in another way.",
	"method_gone":                           "This card is no longer saved. Please choose another one.",
}
