package partner

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// TellOfArrears writes to everybody who speaks for a reseller that its restriction has
// changed, and tells staff when one begins or grows. It is a part of the change.
func TellOfArrears(ctx context.Context, tx *tenancy.CentralTx, box Mailer, b reseller.Debtor, to tenancy.Restriction) error {
	moment := tx.Now().UTC().Format(time.RFC3339)
	var people []identity.Person
	err := tx.NewRaw("SELECT p.id, p.name, p.email FROM partners x JOIN people p ON p.id = x.person_id WHERE x.tenant_id = ? AND p.disabled_at IS NULL ORDER BY p.id", b.ID).Scan(ctx, &people)
	if err != nil {
		return fmt.Errorf("who speaks for %s: %w", b.ID, err)
	}
	since := ""
	if !b.Due.IsZero() {
		since = b.Due.UTC().Format("2 January 2006")
	}
	for _, p := range people {
		err := box.Enqueue(ctx, tx, mail.Message{Key: "arrears/" + b.ID.String() + "/" + moment + "/" + p.ID.String(), Template: mail.ResellerArrears, To: p.Email,
			Data: map[string]string{"name": p.Name, "shop": b.Name, "restriction": string(to), "since": since, "link": "/invoices"}})
		if err != nil {
			return err
		}
	}
	if to == tenancy.Unrestricted {
		return nil
	}
	_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: "reseller.arrears " + b.ID.String() + " " + moment, Tenant: b.ID, Kind: "reseller.arrears",
		Text: b.Name + " has not paid since " + since + ".", Detail: map[string]string{"restriction": string(to)}})
	return err
}
