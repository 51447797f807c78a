package hosting

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// began marks that the service runs for the first time: from here the reseller is billed.
func (d *Desk) began(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	s.Observed, s.BeganAt = SeenActive, tx.Now()
	if !s.ByHand() {
		if _, err := tx.RecordUsage(ctx, s.usage("start", s.BeganAt)); err != nil {
			return err
		}
		if err := s.beginAddons(ctx, tx); err != nil {
			return err
		}
	}
	if err := s.tell(ctx, tx, event{kind: "service.active", text: s.Label + " is ready.", seen: true, news: webhook.ServiceActive}); err != nil {
		return err
	}
	err := d.writeToCustomer(ctx, tx, s, mail.ServiceReady, "ready", map[string]string{"address": s.Address})
	if err != nil {
		return err
	}
	_, err = tx.Enqueue(ctx, ActiveJob{ServiceID: s.ID, ByHand: s.ByHand()}, tenancy.JobOptions{Key: s.ID.String()})
	return err
}

// usage is what the platform bills the reseller by.
func (s *Service) usage(kind string, at time.Time) tenancy.Usage {
	subject := "service/" + s.ID.String()
	return tenancy.Usage{
		Key: subject + "/" + kind, Subject: subject, SKU: s.SKU, Kind: kind, Quantity: 1, At: at,
		Detail: map[string]any{"label": s.Label, "region": s.Region},
	}
}

// ended stops the billing of a service that is there no more.
func (s *Service) ended(ctx context.Context, tx *tenancy.Tx) error {
	if s.Operation == OpResize {
		if err := s.tellResized(ctx, tx, "It is there no more."); err != nil {
			return err
		}
	}
	s.end()
	s.Observed, s.NextAt, s.Sealed, s.Power, s.Progress = SeenGone, time.Time{}, nil, "", 0
	if !s.EndedAt.IsZero() {
		return nil
	}
	s.EndedAt = tx.Now()
	if s.BeganAt.IsZero() || s.ByHand() {
		return nil
	}
	if _, err := tx.RecordUsage(ctx, s.usage("stop", s.EndedAt)); err != nil {
		return err
	}
	return s.endAddons(ctx, tx)
}

// terminated ends a service as it was wanted.
func (d *Desk) terminated(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	s.Problem = ""
	if err := s.ended(ctx, tx); err != nil {
		return err
	}
	if err := s.tell(ctx, tx, event{kind: "service.terminated", text: s.Label + " has ended." + s.deletedToo(), seen: true, key: "terminated", news: webhook.ServiceTerminated}); err != nil {
		return err
	}
	return d.writeToCustomer(ctx, tx, s, mail.ServiceGone, "terminated", map[string]string{"reason": strings.TrimSpace("It has ended." + s.deletedToo())})
}

// deletedToo says what became of what was on it, where there was something.
func (s *Service) deletedToo() string {
	if s.ByHand() {
		return ""
	}
	return " What was on it is deleted."
}

// lost ends the billing of a service that was removed behind our back, and tells
// everybody: nobody wanted that.
func (d *Desk) lost(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	if err := s.ended(ctx, tx); err != nil {
		return err
	}
	s.Problem = "The platform does not have it any more. It was not ended here."
	if err := s.tell(ctx, tx, event{kind: "service.lost", text: "We can no longer find this service. We have been told and look into it.", seen: true, key: "lost"}); err != nil {
		return err
	}
	err := d.writeToCustomer(ctx, tx, s, mail.ServiceGone, "lost", map[string]string{"reason": "We can no longer find it at our data centre. We are looking into it and will write to you."})
	if err != nil {
		return err
	}
	return d.troubled(ctx, tx, s)
}

func (d *Desk) suspended(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	reason := s.HoldReason()
	if err := s.tell(ctx, tx, event{kind: "service.suspended", text: "It is suspended: " + reason, seen: true, news: webhook.ServiceSuspended}); err != nil {
		return err
	}
	_, unpaid := s.Holds[HoldBilling]
	if _, paused := s.Holds[HoldPause]; (unpaid || paused) && len(s.Holds) == 1 {
		return nil // tenant/renewal wrote what is owed and where to pay, or until when it is paused
	}
	return d.writeToCustomer(ctx, tx, s, mail.ServiceSuspended, "suspended/"+s.OperationKey.String(), map[string]string{"reason": reason})
}

func (d *Desk) released(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	if err := s.tell(ctx, tx, event{kind: "service.released", text: "It is no longer suspended.", seen: true, news: webhook.ServiceReleased}); err != nil {
		return err
	}
	return d.writeToCustomer(ctx, tx, s, mail.ServiceReleased, "released/"+s.OperationKey.String(), nil)
}

// HoldReason is why it is suspended, for people: the reseller's own reason first.
func (s *Service) HoldReason() string {
	for _, h := range []Hold{HoldReseller, HoldBilling, HoldDispute, HoldPause, HoldSpend} {
		if r := strings.TrimSpace(s.Holds[h]); r != "" {
			return r
		}
	}
	return "ask us why"
}

// troubled tells of a service that cannot go on: the customer, that it is known; the
// reseller's team and the platform's staff, why.
func (d *Desk) troubled(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	if s.Operation == OpCreate || s.Operation == OpRebuild {
		if err := s.tell(ctx, tx, event{kind: "service.stuck", text: "The set-up did not come to its end. We have been told and look into it.", seen: true}); err != nil {
			return err
		}
	}
	if err := s.tell(ctx, tx, event{kind: "service.failed", text: s.Problem, news: webhook.ServiceFailed}); err != nil {
		return err
	}
	if err := s.alert(ctx, tx, "service.failed", s.Label+": "+s.Problem); err != nil {
		return err
	}
	return d.writeToTeam(ctx, tx, s)
}

func (s *Service) alert(ctx context.Context, tx *tenancy.Tx, kind, text string) error {
	if len(text) > 480 {
		text = strings.ToValidUTF8(text[:480], "")
	}
	_, err := tx.RaiseAlert(ctx, tenancy.Alert{
		Key: "service/" + s.ID.String() + "/" + kind + "/" + s.OperationKey.String(), Kind: kind, Text: strings.ReplaceAll(text, "\n", " "),
		Detail: map[string]any{"service": s.ID.String(), "platform": s.PlatformID.String(), "operation": string(s.Operation)},
	})
	return err
}

// programs is what an event of a service is to programs; none where the type is empty.
// Why something failed is the shop's own matter.
func (s *Service) programs(t webhook.Type) []webhook.News {
	if t == "" {
		return nil
	}
	data := webhook.ServiceData{
		ID: s.ID, AccountID: s.AccountID, SubscriptionID: s.SubscriptionID, Name: s.Name, Label: s.Label, Type: s.Type, State: string(s.Observed), Address: s.Address,
	}
	if t == webhook.ServiceFailed {
		data.Operation = string(s.Operation)
	}
	return []webhook.News{{Type: t, Data: data}}
}

// reader is somebody who is written to.
type reader = account.Reader

// writeToCustomer writes to the owners and to whom the account chose for it.
func (d *Desk) writeToCustomer(ctx context.Context, tx *tenancy.Tx, s *Service, template, key string, data map[string]string) error {
	all, err := account.Readers(ctx, tx, s.AccountID, account.AboutServices)
	if err != nil {
		return err
	}
	return d.write(ctx, tx, all, template, "service/"+s.ID.String()+"/"+key, func(r reader) map[string]string {
		out := map[string]string{"name": r.Name, "service": s.Name, "link": "/client/services/" + s.ID.String()}
		for k, v := range data {
			out[k] = v
		}
		return out
	})
}

// writeToTeam writes to those of the reseller's team who may do something about it.
func (d *Desk) writeToTeam(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	return d.toTeam(ctx, tx, s, mail.ServiceFailed, "failed", map[string]string{"problem": s.Problem})
}

// toTeam writes a letter about a service to them, once an operation.
func (d *Desk) toTeam(ctx context.Context, tx *tenancy.Tx, s *Service, template, key string, data map[string]string) error {
	var all []reader
	err := tx.NewRaw(`SELECT p.id, p.name, p.email FROM people p
		WHERE p.world = 'reseller' AND p.role IN ('owner', 'admin', 'support') AND p.disabled_at IS NULL ORDER BY p.id LIMIT 20`).Scan(ctx, &all)
	if err != nil {
		return fmt.Errorf("find the team: %w", err)
	}
	var customer string
	if err := tx.NewRaw("SELECT name FROM accounts WHERE id = ?", s.AccountID).Scan(ctx, &customer); err != nil {
		return fmt.Errorf("read the account: %w", err)
	}
	return d.write(ctx, tx, all, template, "service/"+s.ID.String()+"/"+key+"/"+s.OperationKey.String(), func(r reader) map[string]string {
		out := map[string]string{"name": r.Name, "service": s.Name, "customer": customer, "link": "/manage/services/" + s.ID.String()}
		maps.Copy(out, data)
		return out
	})
}

// write puts one letter a reader into the outbox. An address nobody can write to is no
// reason to stop.
func (d *Desk) write(ctx context.Context, tx *tenancy.Tx, to []reader, template, key string, data func(reader) map[string]string) error {
	for _, r := range to {
		err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: key + "/" + r.ID.String(), Template: template, To: r.Email, Data: data(r)})
		if err != nil && !fault.Is(err, "mail.bad_address") {
			return errors.Join(fmt.Errorf("write %s", template), err)
		}
	}
	return nil
}
