package account

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenant/activity"
)

// SaveExemption keeps the certificate that an account is not taxed by, for invoices from
// now on; the zero one takes it away. Saving what is there changes nothing. Faults:
// account.exemption_invalid about exemption_number, exemption_note, exemption_from,
// exemption_to and exemption_places; account.not_found.
func SaveExemption(ctx context.Context, db *tenancy.DB, id uuid.UUID, e Exemption, by audit.Origin) error {
	e, err := e.Check()
	if err != nil {
		return err
	}
	raw := ""
	if e != (Exemption{}) {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		raw = string(b)
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		res, err := tx.NewRaw(`UPDATE accounts SET tax_exemption = ?::jsonb, changed_at = ? WHERE id = ? AND closed_at IS NULL AND tax_exemption IS DISTINCT FROM ?::jsonb`,
			bun.NullZero(raw), tx.Now(), id, bun.NullZero(raw)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("save the certificate of account %s: %w", id, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			if err == nil {
				_, err = ForInvoice(ctx, tx, id)
			}
			return err
		}
		action, text := "account.exemption_saved", "A certificate of exemption from tax was entered: "+e.Number+"."
		if raw == "" {
			action, text = "account.exemption_removed", "The certificate of exemption from tax was removed."
		}
		err = activity.Tell(ctx, tx, activity.Event{
			Key: "account/" + id.String() + "/" + action + "/" + moment(tx), AccountID: id, SubjectKind: activity.Account, SubjectID: id,
			Kind: action, Text: text, Actor: by.Actor.Name, CustomerSees: true,
		})
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, action, audit.Target{Kind: "account", ID: id.String()}, map[string]any{"number": e.Number, "from": e.From, "to": e.To, "places": e.Places})
	})
}
