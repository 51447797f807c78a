package wholesale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// EventJob works on what the gateway told of the platform's own account.
type EventJob struct {
	Gateway string `json:"gateway"`
	ID      string `json:"id"`
}

// Kind names the job.
func (EventJob) Kind() string { return "wholesale.event" }

// maxEvent is the most bytes of a notification that are read.
const maxEvent = 512 << 10

// Receive takes a notification: verified, kept by its id, and worked on by a job, once,
// however often it comes. Faults: wholesale_hook.unknown, wholesale_hook.forged,
// wholesale_hook.too_large.
func (d *Desk) Receive(ctx context.Context, code string, header http.Header, body []byte) error {
	unknown := fault.New(fault.NotFound, "wholesale_hook.unknown", "Nothing is expected here.")
	switch {
	case d.Taker == nil || code != d.Taker.Code:
		return unknown
	case len(body) > maxEvent:
		return fault.New(fault.TooLarge, "wholesale_hook.too_large", "That is more than a notification has.")
	}
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		e, err := d.Taker.Gateway.Event(ctx, header, body, tx.Now())
		if errors.Is(err, gateway.ErrUnsupported) {
			return unknown
		}
		var kept []byte
		if err == nil {
			kept, err = e.Stored()
		}
		if err != nil {
			return fault.Wrap(err, fault.Malformed, "wholesale_hook.forged", "The signature of this notification is not valid.")
		}
		res, err := tx.NewRaw(`INSERT INTO gateway_events (gateway, id, type, body, received_at, outcome) VALUES (?, ?, ?, ?::jsonb, ?, '') ON CONFLICT DO NOTHING`,
			code, e.ID, e.Type, string(kept), tx.Now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep notification %s: %w", e.ID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 || e.Kind == gateway.OtherEvent {
			return err
		}
		_, err = tx.Enqueue(ctx, EventJob{Gateway: code, ID: e.ID}, tenancy.JobOptions{Key: code + "/" + e.ID})
		return err
	})
}

// HandleEvent does what a notification asks for: it asks the gateway how things stand
// now, and keeps that. Notifications may be worked on in any order, and again.
func (d *Desk) HandleEvent(ctx context.Context, job EventJob) error {
	var row struct {
		Type string
		Body []byte
		Done bool
	}
	var e gateway.Stored
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT type, body, processed_at IS NOT NULL AS done FROM gateway_events WHERE gateway = ? AND id = ?", job.Gateway, job.ID).Scan(ctx, &row)
	})
	if err == nil {
		err = json.Unmarshal(row.Body, &e)
	}
	if err != nil {
		return fmt.Errorf("read notification %s: %w", job.ID, err)
	}
	if row.Done || d.Taker == nil || d.Taker.Code != job.Gateway {
		return nil
	}
	keep, err := d.shopNews(ctx, job.ID, row.Type, e)
	if err == nil && keep == nil {
		keep, err = d.news(ctx, e)
	}
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		keep = func(context.Context, *tenancy.CentralTx) (string, error) { return "the gateway knows it no more", nil }
	case err != nil:
		return fmt.Errorf("notification %s: %w", job.ID, d.trouble(ctx, err))
	}
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		outcome, err := keep(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("UPDATE gateway_events SET processed_at = ?, outcome = ? WHERE gateway = ? AND id = ?", tx.Now(), outcome, job.Gateway, job.ID).Exec(ctx)
		return err
	})
}

// keeping is what is to be kept of a notification, and what came of it in a few words.
type keeping func(ctx context.Context, tx *tenancy.CentralTx) (string, error)

const notOurs, leftAlone = "not ours", "left alone"

// news asks the gateway what a notification is about.
func (d *Desk) news(ctx context.Context, e gateway.Stored) (keeping, error) {
	switch e.Kind {
	case gateway.PaymentChanged:
		gp, err := d.Taker.Gateway.Payment(ctx, e.Ref)
		return func(ctx context.Context, tx *tenancy.CentralTx) (string, error) {
			a, ok, err := findAttempt(ctx, tx, "p.gateway = ? AND (p.ref = ? OR p.key = ?)", d.Taker.Code, gp.Ref, gp.Key)
			if err != nil || !ok {
				return notOurs, err
			}
			a, err = d.settle(ctx, tx, a.ID, gp)
			return string(a.State), err
		}, err
	case gateway.RefundChanged:
		return d.refundNews(ctx, e)
	case gateway.DisputeChanged:
		return d.disputeNews(ctx, e)
	case gateway.SetupChanged:
		saver, err := d.saver()
		if err != nil {
			break
		}
		s, err := saver.SetupState(ctx, e.Ref)
		return func(ctx context.Context, tx *tenancy.CentralTx) (string, error) { return keepSetup(ctx, tx, s) }, err
	case gateway.MethodChanged:
		return func(ctx context.Context, tx *tenancy.CentralTx) (string, error) {
			if !e.LetGo() {
				return leftAlone, nil
			}
			_, err := tx.NewRaw("UPDATE reseller_profiles SET method_ref = '', method_label = '', changed_at = ? WHERE method_ref = ?", tx.Now(), e.Ref).Exec(ctx)
			return "removed", err
		}, nil
	}
	return func(context.Context, *tenancy.CentralTx) (string, error) { return leftAlone, nil }, nil
}

// shopNews hands what is a reseller's to its shop and books it; nil: it is the platform's own.
func (d *Desk) shopNews(ctx context.Context, id, kind string, e gateway.Stored) (keeping, error) {
	sharer, ok := d.Taker.Gateway.(gateway.Sharer)
	if !ok {
		return nil, nil
	}
	shop, err := sharer.Whose(ctx, e)
	if err != nil {
		return nil, err
	}
	of, ok := collectedFor(shop)
	if !ok {
		return nil, nil
	}
	outcome := "handed to " + of.String()
	if d.Deliver != nil {
		err = d.Deliver(ctx, of, gateway.Event{ID: id, Type: kind, Kind: e.Kind, Ref: e.Ref, Payment: e.Payment, Body: e.Body})
	}
	if fault.Is(err, "hook.unknown") { // it is gone; what came is its reseller's all the same
		outcome, err = "nobody there", nil
	}
	if err != nil {
		return nil, fmt.Errorf("hand a notification to %s: %w", of, err)
	}
	ref := e.Payment
	if e.Kind == gateway.PaymentChanged {
		ref = e.Ref
	}
	if ref != "" {
		said, err := d.lookAt(ctx, ref, of)
		if err != nil {
			return nil, err
		}
		outcome += ", " + said
	}
	return func(context.Context, *tenancy.CentralTx) (string, error) { return outcome, nil }, nil
}

func keepSetup(ctx context.Context, tx *tenancy.CentralTx, s gateway.Setup) (string, error) {
	of, ok := resellerOfSetup(s.Key)
	if !ok {
		return notOurs, nil
	}
	if s.State != gateway.Succeeded || s.Method == nil {
		return string(s.State), nil
	}
	var there bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM tenants WHERE id = ?)", of).Scan(ctx, &there); err != nil || !there {
		return notOurs, err
	}
	return string(s.State), keepCard(ctx, tx, of, s.CustomerRef, *s.Method, audit.Origin{Actor: audit.System("payments")})
}
