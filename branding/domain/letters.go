package domain

import (
	"context"
	"strings"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Letters writes to a tenant's owner when something happens to a domain that they
// should hear of. Its letters are the platform's, so that they arrive also when the
// tenant's own sender depends on the domain.
type Letters struct {
	Outbox *mail.Outbox
	// Link is the address of the tenant's page about its domains.
	Link func(slug string) string
	Keep time.Duration // how long a drifted name is served; 0: as Pace has it
}

var _ News = (*Letters)(nil)

// letterFor says which changes are worth a letter.
func letterFor(e Event) string {
	switch e.Code {
	case "domain.taken_over":
		return mail.DomainTaken
	case "domain.drifted", "domain.drift_ended":
		return mail.DomainDrifted
	case "certificate.issued":
		return mail.DomainActive
	case "certificate.failed":
		if e.To == RateLimited {
			return "" // nothing is needed from them
		}
		return mail.DomainFailing
	case "certificate.renewal_failed", "domain.caa_forbids":
		return mail.DomainFailing
	}
	return ""
}

// DomainChanged is News.
func (l *Letters) DomainChanged(ctx context.Context, tx *tenancy.CentralTx, d Domain, e Event) error {
	template := letterFor(e)
	if template == "" {
		return nil
	}
	var owner struct{ Slug, Name, OwnerEmail string }
	err := tx.NewRaw("SELECT slug, name, owner_email FROM tenants WHERE id = ?", d.Tenant).Scan(ctx, &owner)
	if tenancy.IsNoRows(err) || err == nil && owner.OwnerEmail == "" {
		return nil
	}
	if err != nil {
		return err
	}
	day := tx.Now().Format("2006-01-02") // one letter of a kind about a name in a day
	all := map[string]string{
		"name": owner.Name, "host": d.Host, "reason": or(e.Detail, d.Error), "link": l.Link(owner.Slug),
		"until": tx.Now().Add(l.keep()).Format("2 January 2006"),
	}
	data := map[string]string{}
	for _, key := range mail.Templates[template] {
		data[key] = all[key]
	}
	err = l.Outbox.Enqueue(ctx, tx, mail.Message{
		Key: strings.Join([]string{"domain", d.ID.String(), template, day}, " "), Template: template, To: owner.OwnerEmail, Data: data,
	})
	if fault.Is(err, "mail.bad_address") {
		return nil // a domain does not wait for an address that somebody mistyped
	}
	return err
}

func (l *Letters) keep() time.Duration { return Pace{KeepDrift: l.Keep}.orUsual().KeepDrift }
