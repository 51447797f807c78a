// Package setup is what a new tenant begins with: a brand that can be looked at, and
// an owner with an invitation. It runs within the claim, so a tenant without them
// does not exist. It decides nothing about the tenant itself.
package setup

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Owner is who the reseller's team begins with.
type Owner struct {
	Name, Email, Locale string
	// Hash is of the password they have already; empty: they are sent a link by which
	// they choose one. With it, their address is known to be theirs.
	Hash identity.HashedPassword
}

// Kit is what seeding needs. It is safe for concurrent use.
type Kit struct {
	Mail signin.Mailer
}

// Seed fills the schema of a new tenant, within the claim. It does nothing but the
// database and may run more than once.
func (k Kit) Seed(ctx context.Context, t tenancy.Tenant, tx *tenancy.Tx, o Owner) error {
	if err := branding.First(ctx, tx, firstBrand(t), "EZSCALE"); err != nil {
		return err
	}
	people := identity.People{World: identity.Reseller}
	p, err := people.Add(ctx, tx, identity.NewPerson{Name: o.Name, Email: o.Email, Role: identity.ResellerOwner, Locale: o.Locale, Verified: o.Hash != ""}, o.Hash)
	if err != nil {
		return err
	}
	if err := k.welcome(ctx, t, tx, p); err != nil {
		return err
	}
	by := audit.Origin{Actor: audit.System("platform")}
	return by.Record(ctx, tx, "shop.opened", audit.Target{Kind: "person", ID: p.ID.String()}, map[string]any{"owner": p.Name, "email": p.Email})
}

// welcome mails the owner the link by which they choose a password, or the way to the
// console when they have one.
func (k Kit) welcome(ctx context.Context, t tenancy.Tenant, tx *tenancy.Tx, p identity.Person) error {
	if p.HasPassword {
		err := k.Mail.Enqueue(ctx, tx, mail.Message{
			Key: "welcome/" + p.ID.String(), Template: mail.ShopOpened, To: p.Email,
			Data: map[string]string{"name": p.Name, "shop": t.Name, "host": t.PrimaryHost, "link": "/manage"},
		})
		if err != nil {
			return fmt.Errorf("welcome the owner: %w", err)
		}
		return nil
	}
	token, err := identity.People{World: identity.Reseller}.NewLink(ctx, tx, p.ID, identity.Invite)
	if err != nil {
		return err
	}
	err = k.Mail.Enqueue(ctx, tx, mail.Message{
		Key: "welcome/" + p.ID.String(), Template: mail.ResellerWelcome, To: p.Email,
		Data: map[string]string{
			"name": p.Name, "shop": t.Name, "host": t.PrimaryHost, "valid_for": "7 days",
			"link": signin.LinkPath("/manage", identity.Invite, token),
		},
	})
	if err != nil {
		return fmt.Errorf("welcome the owner: %w", err)
	}
	return nil
}

// firstBrand is a brand to begin with: the shop's name, and one of a few calm colours
// so that two new shops do not look like one.
func firstBrand(t tenancy.Tenant) branding.Content {
	colours := []string{"#1f5fbf", "#0f766e", "#6d28d9", "#b4431a", "#be185d", "#3f6212", "#0e7490", "#4338ca"}
	return branding.Content{
		Theme:  "base",
		Tokens: branding.Tokens{Brand: colours[t.ID.Number()%int64(len(colours))], Radius: "medium", Font: "system"},
		Texts:  branding.Texts{Headline: "Welcome to " + t.Name, SenderName: t.Name},
	}
}
