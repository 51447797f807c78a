package renewal

import (
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
)

// changeWords says what became of what.
func changeWords(s Subscription, t Terms) string {
	if s.Label == t.Label && s.Cycle == t.Cycle {
		return s.Label + " was changed."
	}
	if s.Label == t.Label {
		return s.Label + " is paid " + string(t.Cycle) + " now."
	}
	return s.Label + " was changed to " + t.Label + "."
}

func letterChanged(s Subscription, c Change) message {
	return message{
		key: "subscription/" + s.ID.String() + "/changed/" + c.QuoteID.String(), template: mail.PlanChanged,
		data:    map[string]string{"what": s.what(), "every": s.Cycle.Words(), "next": s.date(s.Next().From), "link": s.path()},
		amounts: map[string]billing.Money{"amount": s.Amount},
	}
}

func letterNotChanged(s Subscription, c Change) message {
	paid := ""
	if c.InvoiceID != uuid.Nil {
		paid = "yes"
	}
	return message{
		key: "subscription/" + s.ID.String() + "/not_changed/" + c.QuoteID.String(), template: mail.ChangeFailed,
		data: map[string]string{"what": s.what(), "wanted": c.Terms.Label, "paid": paid, "link": s.path()},
	}
}
