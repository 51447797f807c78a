package mail

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// SendMany delivers a sandbox's mails: to nobody. They count as sent, and what they say
// stays in the sandbox's own outbox, where its people read it (Trapped). It is an error
// for any other tenant.
func (p *Postman) SendMany(ctx context.Context, db *tenancy.DB, jobs []SendJob) error {
	if !db.Tenant().Sandbox {
		return fmt.Errorf("mails of %s: %w", db.Tenant().ID, tenancy.ErrNotSandbox)
	}
	ids := make([]uuid.UUID, 0, len(jobs))
	for _, j := range jobs {
		id, err := uuid.Parse(j.Mail)
		if err != nil {
			return fmt.Errorf("mail %q: %w", j.Mail, err)
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE mails SET state = 'sent', sent_at = ?, attempts = attempts + 1 WHERE state = 'queued' AND id IN (?)", tx.Now(), bun.List(ids)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("trap mails: %w", err)
		}
		return nil
	})
}

// Trapped is one of a sandbox's mails as it would have been sent.
func (p *Postman) Trapped(ctx context.Context, db *tenancy.DB, id uuid.UUID) (m Logged, letter Letter, err error) {
	var w waiting
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		if m, err = Find(ctx, tx, id); err != nil {
			return err
		}
		w = waiting{ID: id.String(), Template: m.Template, To: m.ToAddress, CreatedAt: m.CreatedAt}
		if err := tx.NewRaw("SELECT sealed_body FROM mails WHERE id = ?", id).Scan(ctx, &w.Sealed); err != nil {
			return fmt.Errorf("read mail %s: %w", id, err)
		}
		return ownWords(ctx, tx, &w)
	})
	if err != nil {
		return m, letter, err
	}
	if !db.Tenant().Sandbox || len(w.Sealed) == 0 {
		return m, letter, fault.New(fault.Gone, "mail.not_kept", "What this mail said is not kept.")
	}
	plain, err := p.Sealer.Open(sealPurpose, []byte(w.ID), w.Sealed)
	if err != nil {
		return m, letter, fmt.Errorf("open mail %s: %w", id, err)
	}
	var data map[string]string
	if err := json.Unmarshal(plain, &data); err != nil {
		return m, letter, fmt.Errorf("open mail %s: %w", id, err)
	}
	sender, err := p.Senders.Tenant(ctx, db)
	if err != nil {
		return m, letter, err
	}
	if w.own != (Text{}) {
		if letter, err = p.Letters.RenderOwn(sender, w.Template, data, w.own); err == nil {
			return m, letter, nil
		}
	}
	letter, err = p.Letters.Render(sender, w.Template, data)
	return m, letter, err
}
