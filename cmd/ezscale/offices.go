package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/staff"
	"github.com/ezscale/ezscale/central/watch"
	centralweb "github.com/ezscale/ezscale/central/web"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/overview"
	tenantreport "github.com/ezscale/ezscale/tenant/report"
	"github.com/ezscale/ezscale/tenant/team"
	tenantweb "github.com/ezscale/ezscale/tenant/web"
)

// staffOffice wires what the console's pages about the platform need.
func (a *app) staffOffice(ctx context.Context, outbox *mail.Outbox) (*centralweb.Office, error) {
	_, version, err := tenancy.TenantScript()
	if err != nil {
		return nil, err
	}
	jobs, err := queue.OpenJobs(ctx, tenancyConfig(a.cfg.Database, a.ring, a.clock), 2)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	a.onClose("jobs of the console", func(context.Context) error { jobs.Close(); return nil })
	return &centralweb.Office{
		Alerts:    a.alertDesk(),
		Resellers: newResellerDesk(a.central, a.pool, a.cfg.Hosts.Platform, newOutboxes(a.ring)),
		Staff: staff.Desk(a.central, func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error {
			return signin.Invite(ctx, tx, outbox, "", to, inviter)
		}),
		Watch:     &watch.Watch{Central: a.central, SchemaVersion: version},
		Platforms: a.platforms(), LookAgain: a.lookAgain,
		Jobs: jobs, Peek: a.peek, Parts: a.parts, MailAgain: outbox.Again, SiteURL: siteURL,
	}, nil
}

// teamOffice wires what the pages for a reseller's team need.
func (a *app) teamOffice(outbox *mail.Outbox, letters *mail.Letters, desk *branding.Desk) *tenantweb.Office {
	costs := runningCosts{book: &wholesale.Desk{Central: a.central}}
	return &tenantweb.Office{
		Hosts: a.resolver.Hosts, Refresh: a.resolver.RefreshTenant, MailAgain: outbox.Again,
		Twins: a.shopTwins(letters, a.senders(desk)),
		Room:  func(ctx context.Context, id tenancy.ID) (tenantweb.Room, error) { return roomOf(ctx, costs.book, id) },
		Costs: costs, Wholesale: costs, Months: &tenantreport.Closed{}, Glances: &tenantweb.Glances{}, Letters: letters, Sender: a.senders(desk).Tenant,
	}
}

// roomOf is what a reseller's tier gives, for its team.
func roomOf(ctx context.Context, book *wholesale.Desk, id tenancy.ID) (tenantweb.Room, error) {
	u, err := book.UseOf(ctx, id)
	return tenantweb.Room{Team: u.Team, Services: u.Services, HasServices: u.HasServices}, err
}

// teamOf is how many people work for a reseller, for its partner centre.
func (a *app) teamOf(ctx context.Context, id tenancy.ID) (n int, err error) {
	t, ok := a.resolver.ByID(id)
	if !ok {
		return 0, fmt.Errorf("team of %s: the tenant is not in the directory", id)
	}
	err = a.pool.Bind(t).View(ctx, func(tx *tenancy.Tx) error {
		n, err = team.Roster().Taken(ctx, tx)
		return err
	})
	return n, err
}

// peek looks into a reseller's own schema for staff.
func (a *app) peek(ctx context.Context, id tenancy.ID) (centralweb.Inside, error) {
	t, ok := a.resolver.ByID(id)
	if !ok {
		return centralweb.Inside{}, fmt.Errorf("peek: tenant %s is not in the directory", id)
	}
	db := a.pool.Bind(t)
	f, err := overview.Count(ctx, db)
	if err != nil {
		return centralweb.Inside{}, fmt.Errorf("peek: %w", err)
	}
	members, _, err := team.Desk(db, nil).List(ctx, roster.Filter{})
	if err != nil {
		return centralweb.Inside{}, fmt.Errorf("peek: %w", err)
	}
	return centralweb.Inside{
		Inside:  reseller.Inside{Team: f.Team, Customers: f.Customers, Accounts: f.Accounts, LastSignIn: f.LastSignIn, LastCustomerSignIn: f.LastCustomerSignIn},
		Members: members,
	}, nil
}

// parts are what this node needs and how each is.
func (a *app) parts(ctx context.Context) []centralweb.Part {
	said := a.health.Ask(ctx).Parts
	all := make([]centralweb.Part, 0, len(said)+1)
	for name, word := range said {
		all = append(all, centralweb.Part{Name: name, OK: word == "ok", Detail: word})
	}
	slices.SortFunc(all, func(x, y centralweb.Part) int { return strings.Compare(x.Name, y.Name) })
	tenants, hosts := a.resolver.Size()
	return append(all, centralweb.Part{Name: "hosts in memory", OK: !a.resolver.Loaded().IsZero(),
		Detail: fmt.Sprintf("%d hosts of %d tenants on this node", hosts, tenants)})
}

// siteURL is a reseller's site by the scheme and port the console was asked by.
func siteURL(c *fiber.Ctx, host string) string {
	scheme, rest, _ := strings.Cut(surface.BaseURL(c), "://")
	if _, port, ok := strings.Cut(rest, ":"); ok {
		host += ":" + port
	}
	return scheme + "://" + host
}
