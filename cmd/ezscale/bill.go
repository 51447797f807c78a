package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/wholesale"
)

type billCmd struct {
	Wholesale billWholesaleCmd `cmd:"" help:"Bill the resellers for a month: one invoice each, with the evidence of every line."`
	Audit     billAuditCmd     `cmd:"" help:"Compare the services as they ran with usage as it was billed."`
}

type billWholesaleCmd struct {
	output
	Period string `help:"The month, such as 2026-10, of those who are billed by calendar months, or 2026-10-15 of those whose month begins on that day; the last calendar month when none is named."`
	DryRun bool   `help:"Work everything out, show it and change nothing. The month under way is shown as if everything ran on to its end."`
}

// desk is where the platform bills, with the tools' parts.
func (x *tools) wholesale() *wholesale.Desk {
	return &wholesale.Desk{Central: x.central, Mail: mail.NewOutbox(x.ring), PartnerURL: "https://" + x.cfg.Hosts.Partner}
}

// monthNamed is the month a flag names, or the last one.
func monthNamed(s string, now time.Time) (wholesale.Month, error) {
	if s == "" {
		return wholesale.Last(now), nil
	}
	m, err := wholesale.ParseMonth(s)
	if err != nil {
		return m, &usageError{err}
	}
	return m, nil
}

// Run bills. Mails and charges follow by the workers.
func (c *billWholesaleCmd) Run(ctx context.Context, t *terminal) error {
	return withTools(ctx, func(x *tools) error {
		m, err := monthNamed(c.Period, x.central.Now())
		if err != nil {
			return err
		}
		began := time.Now()
		r, err := x.wholesale().Run(ctx, m, operator(), c.DryRun)
		if err != nil {
			return err
		}
		return c.print(t, r, func() { printRun(t, r, time.Since(began)) })
	})
}

func printRun(t *terminal, r wholesale.Report, took time.Duration) {
	defer printOthers(t, r)
	switch {
	case r.Again:
		t.say("%s was billed before: %d invoices, %s. Nothing was changed.", r.Period, r.Invoices, sums(r.Total))
		return
	case len(r.Rows) > 0:
		rows := make([][]string, len(r.Rows))
		for i, x := range r.Rows {
			rows[i] = []string{x.Tenant.String(), x.Name, x.Number, x.Tier, itoa(x.Lines), fmt.Sprint(x.Services), itoa(x.Adjustments), billing.Money{Minor: x.TotalMinor, Currency: x.Currency}.String()}
		}
		t.table([]string{"RESELLER", "NAME", "NUMBER", "TIER", "LINES", "SERVICES", "ADJUSTED", "TOTAL"}, rows)
	}
	for _, m := range r.Missing {
		t.say("No price: %s for tier %s in %s since %s, used by reseller %s.", m.SKU, m.Tier, m.Currency, m.Since.Format(time.DateOnly), m.Tenant)
	}
	word := "Billed"
	if r.Dry {
		word = "Would bill"
	}
	t.say("%s %s: %d invoices with %d lines, %s, in %s.", word, r.Period, r.Invoices, r.Lines, sums(r.Total), took.Round(time.Millisecond))
}

// printOthers says of a calendar month who is not in it.
func printOthers(t *terminal, r wholesale.Report) {
	for _, o := range r.Others {
		state := "not billed yet: --period " + o.Period
		if o.Billed {
			state = "billed"
		}
		t.say("Not in it: %d resellers with a bill day of their own, whose month is %s (%s).", o.Resellers, o.Title(), state)
	}
}

// sums are amounts by currency, in words.
func sums(total map[string]int64) string {
	said := make([]string, 0, len(total))
	for currency, minor := range total {
		said = append(said, billing.Money{Minor: minor, Currency: currency}.String())
	}
	slices.Sort(said)
	if len(said) == 0 {
		return "nothing in all"
	}
	return strings.Join(said, " and ") + " in all"
}

type billAuditCmd struct {
	output
	Period    string `help:"The month, as for bill wholesale; the last calendar month when none is named."`
	TellAgain bool   `help:"First have every reseller's shop tell the platform once more what runs and what customers pay for it."`
}

// Run audits; differences are the status 1.
func (c *billAuditCmd) Run(ctx context.Context, t *terminal) error {
	return withTools(ctx, func(x *tools) error {
		m, err := monthNamed(c.Period, x.central.Now())
		if err != nil {
			return err
		}
		if c.TellAgain {
			if err := tellAgain(ctx, x.central, x.pool); err != nil {
				return err
			}
		}
		desk := x.wholesale()
		found, err := desk.Audit(ctx, m, ranIn{x.pool})
		if err != nil {
			return err
		}
		books, err := desk.Books(ctx)
		if err != nil {
			return err
		}
		answer := struct {
			wholesale.Audit
			Books []string `json:"books"`
		}{found, books}
		err = c.print(t, answer, func() { printAudit(t, found, books) })
		if err == nil && len(found.Differences)+len(books) > 0 {
			return errFound
		}
		return err
	})
}

func printAudit(t *terminal, a wholesale.Audit, books []string) {
	for _, d := range a.Differences {
		t.say("reseller %s, %s, %s: %s", d.Tenant, d.Kind, d.Subject, d.Text)
	}
	for _, b := range books {
		t.say("books: %s", b)
	}
	t.say("%s: %d resellers, %d services and %d lines compared; %d differences; %d resellers with late facts that the next run adjusts.",
		a.Period, a.Tenants, a.Services, a.Lines, len(a.Differences)+len(books), a.Pending)
}
