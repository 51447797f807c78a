package wholesale

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Partner is a reseller as a person of the partner centre speaks for it.
type Partner struct {
	ID     tenancy.ID
	Slug   string
	Name   string
	Status tenancy.Status
}

// PartnerOf is the reseller a person of the world partner speaks for: the one asked for
// when it is theirs, otherwise the first. Somebody who speaks for nobody gets the fault
// partner.none, somebody who asks for another's partner.unknown.
func (d *Desk) PartnerOf(ctx context.Context, person uuid.UUID, wanted string) (Partner, error) {
	all, err := d.PartnersOf(ctx, person)
	if err != nil {
		return Partner{}, err
	}
	return Chosen(all, wanted)
}

// Chosen is PartnerOf among all that a person speaks for.
func Chosen(all []Partner, wanted string) (Partner, error) {
	for _, p := range all {
		if wanted == "" || wanted == p.ID.String() {
			return p, nil
		}
	}
	if len(all) > 0 {
		return Partner{}, fault.New(fault.NotFound, "partner.unknown", "You do not speak for that business.")
	}
	return Partner{}, fault.New(fault.Forbidden, "partner.none", "Your sign-in is not linked to a business yet. Please write to us.")
}

// PartnersOf are all resellers a person speaks for.
func (d *Desk) PartnersOf(ctx context.Context, person uuid.UUID) (all []Partner, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT t.id, t.slug, t.name, t.status FROM partners p JOIN tenants t ON t.id = p.tenant_id
			WHERE p.person_id = ? AND t.status <> 'dropped' ORDER BY p.created_at, t.id`, person).Scan(ctx, &all)
	})
	if err != nil {
		return nil, fmt.Errorf("resellers of a partner: %w", err)
	}
	return all, nil
}

// Link lets a person of the world partner speak for a reseller, as a part of a larger
// change. Doing it again changes nothing.
func Link(ctx context.Context, tx *tenancy.CentralTx, person uuid.UUID, tenant tenancy.ID) error {
	_, err := tx.NewRaw("INSERT INTO partners (person_id, tenant_id, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", person, tenant, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("link a partner to %s: %w", tenant, err)
	}
	return nil
}
