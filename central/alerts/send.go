package alerts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// SendJob carries what was raised to the channels. The clock enqueues it; the queue runs
// one at a time.
type SendJob struct{}

// Kind names the job.
func (SendJob) Kind() string { return "alerts.send" }

const (
	lease     = 2 * time.Minute // how long whoever took a delivery may take
	maxTries  = 10
	firstWait = 30 * time.Second
	maxWait   = time.Hour
	atOnce    = 50
)

// errGone says that the other side knows the channel no more.
var errGone = errors.New("the channel is gone")

// errRefused says that the message itself was refused: it would be again.
var errRefused = errors.New("refused")

// pausedError says how long the other side wants to be left alone.
type pausedError struct{ wait time.Duration }

func (e pausedError) Error() string { return fmt.Sprintf("asked to wait %s", e.wait) }

// SendDue hands new alerts to the channels that want them, and carries what is due there;
// it answers how many were carried. A channel's failures do not hold up the others. A
// message may arrive twice when the program dies between the answer and its note.
func (d *Desk) SendDue(ctx context.Context) (sent int, err error) {
	if err := d.handOut(ctx); err != nil {
		return 0, err
	}
	for range 20 { // rounds: what a pause keeps back waits for the next run
		due, err := d.take(ctx)
		if err != nil || len(due) == 0 {
			return sent, err
		}
		paused := map[uuid.UUID]bool{}
		for _, x := range due {
			if paused[x.ChannelID] {
				if err := d.putBack(ctx, x); err != nil {
					return sent, err
				}
				continue
			}
			said := d.carry(ctx, x)
			if ctx.Err() != nil {
				return sent, ctx.Err() // the lease ends, and the next run goes on
			}
			wait := pausedError{}
			paused[x.ChannelID] = errors.As(said, &wait) || errors.Is(said, errGone)
			if err := d.note(ctx, x, said); err != nil {
				return sent, err
			}
			if said == nil {
				sent++
			}
		}
	}
	return sent, nil
}

// handOut makes a delivery of every new alert for every channel that wants its kind.
func (d *Desk) handOut(ctx context.Context) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var ids []uuid.UUID
		if err := tx.NewRaw("SELECT id FROM alerts WHERE sent_at IS NULL ORDER BY at LIMIT 500 FOR UPDATE SKIP LOCKED").Scan(ctx, &ids); err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			_, err := tx.NewRaw(`INSERT INTO alert_deliveries (alert_id, channel_id, state, tries, next_try_at, error, changed_at)
				SELECT a.id, c.id, 'pending', 0, ?, '', ? FROM alerts a, alert_channels c
				WHERE a.id = ? AND c.state = 'on' AND (jsonb_array_length(c.kinds) = 0 OR c.kinds @> to_jsonb(a.kind))
				ON CONFLICT DO NOTHING`, tx.Now(), tx.Now(), id).Exec(ctx)
			if err != nil {
				return err
			}
			if _, err := tx.NewRaw("UPDATE alerts SET sent_at = ? WHERE id = ?", tx.Now(), id).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("hand out alerts: %w", err)
	}
	return nil
}

// delivery is one alert on its way to one channel.
type delivery struct {
	AlertID   uuid.UUID
	ChannelID uuid.UUID
	Tries     int // with this one
	Kind      string
	Text      string
	Who       string
	Facts     string
	At        time.Time
}

// take leases deliveries that are due: who dies with one leaves it to the next run.
func (d *Desk) take(ctx context.Context) (due []delivery, err error) {
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		due = nil
		return tx.NewRaw(`UPDATE alert_deliveries x SET tries = x.tries + 1, next_try_at = ?, changed_at = ?
			FROM alerts a LEFT JOIN tenants t ON t.id = a.tenant_id
			WHERE a.id = x.alert_id AND (x.alert_id, x.channel_id) IN (
				SELECT y.alert_id, y.channel_id FROM alert_deliveries y JOIN alert_channels c ON c.id = y.channel_id
				WHERE y.state = 'pending' AND y.next_try_at <= ? AND c.state = 'on' AND coalesce(c.paused_until, ?) <= ?
				ORDER BY y.next_try_at, y.alert_id LIMIT ? FOR UPDATE OF y SKIP LOCKED)
			RETURNING x.alert_id, x.channel_id, x.tries, a.kind, a.text, coalesce(t.name, '') AS who, a.detail::text AS facts, a.at`,
			tx.Now().Add(lease), tx.Now(), tx.Now(), tx.Now(), tx.Now(), atOnce).Scan(ctx, &due)
	})
	if err != nil {
		return nil, fmt.Errorf("take alerts: %w", err)
	}
	return due, nil
}

// carry brings one delivery to its channel.
func (d *Desk) carry(ctx context.Context, x delivery) error {
	row, to, err := d.channel(ctx, x.ChannelID)
	if err != nil {
		return err
	}
	m := message{Title: titleOf(x.Kind), Text: x.Text, Who: x.Who, Facts: Listed{Facts: x.Facts}.Pairs(), At: x.At, Link: d.Console + "/alerts"}
	switch row.Kind {
	case Discord:
		return d.discord(ctx, to, m)
	default:
		return d.mailTo(ctx, to, "alert/"+x.AlertID.String()+"/"+x.ChannelID.String(), m)
	}
}

func (d *Desk) channel(ctx context.Context, id uuid.UUID) (r channelRow, to string, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		err := tx.NewRaw("SELECT "+channelColumns+" FROM alert_channels WHERE id = ?", id).Scan(ctx, &r)
		if tenancy.IsNoRows(err) {
			return errNoChannel
		}
		return err
	})
	if err != nil {
		return r, "", err
	}
	to, err = d.open(&r)
	return r, to, err
}

// titleOf is the kind as people call it.
func titleOf(kind string) string {
	for _, k := range Kinds() {
		if k.Value == kind {
			return k.Label
		}
	}
	return kind
}

// mailTo puts a letter into the platform's outbox, which sends it once a key.
func (d *Desk) mailTo(ctx context.Context, to, key string, m message) error {
	facts := ""
	for _, p := range m.Facts {
		facts += p.Name + ": " + p.Value + "\n"
	}
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		return d.Mail.Enqueue(ctx, tx, mail.Message{Key: key, Template: mail.Alert, To: to, Data: map[string]string{
			"title": m.Title, "text": m.Text, "who": m.Who, "facts": facts, "when": m.At.UTC().Format("2 January 2006, 15:04 MST"), "link": "/alerts",
		}})
	})
}

// putBack gives a delivery that was not tried its try back.
func (d *Desk) putBack(ctx context.Context, x delivery) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE alert_deliveries SET tries = tries - 1, next_try_at = ? WHERE alert_id = ? AND channel_id = ? AND state = 'pending'", tx.Now(), x.AlertID, x.ChannelID).Exec(ctx)
		return err
	})
}

// note writes down how a delivery went.
func (d *Desk) note(ctx context.Context, x delivery, said error) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		state, next, why := "sent", tx.Now(), ""
		if said != nil {
			state, why = "pending", cut(said.Error(), 300)
			next = tx.Now().Add(min(firstWait<<min(x.Tries-1, 10), maxWait))
		}
		pause, channelState := time.Time{}, ""
		wait := pausedError{}
		switch {
		case said == nil:
		case errors.Is(said, errGone):
			state, channelState = "given_up", Gone
		case errors.As(said, &wait):
			next, pause = tx.Now().Add(wait.wait), tx.Now().Add(wait.wait)
		case errors.Is(said, errRefused), x.Tries >= maxTries:
			state = "given_up"
		}
		_, err := tx.NewRaw("UPDATE alert_deliveries SET state = ?, next_try_at = ?, error = ?, changed_at = ? WHERE alert_id = ? AND channel_id = ?",
			state, next, why, tx.Now(), x.AlertID, x.ChannelID).Exec(ctx)
		if err != nil {
			return err
		}
		return d.noteChannel(ctx, tx, x.ChannelID, channelState, why, pause)
	})
	if err != nil {
		return fmt.Errorf("note an alert's delivery: %w", err)
	}
	return nil
}

// noteChannel keeps a channel's last word; one that is gone is switched off and staff
// hear of it by the others.
func (d *Desk) noteChannel(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID, state, why string, pause time.Time) error {
	var until any
	if !pause.IsZero() {
		until = pause
	}
	_, err := tx.NewRaw("UPDATE alert_channels SET last_error = ?, paused_until = ?, changed_at = ? WHERE id = ? AND (last_error <> ? OR paused_until IS NOT NULL OR ?::timestamptz IS NOT NULL)",
		why, until, tx.Now(), id, why, until).Exec(ctx)
	if err != nil || state != Gone {
		return err
	}
	var name string
	if err := tx.NewRaw("UPDATE alert_channels SET state = 'gone', changed_at = ? WHERE id = ? AND state = 'on' RETURNING name", tx.Now(), id).Scan(ctx, &name); err != nil {
		if tenancy.IsNoRows(err) {
			return nil
		}
		return err
	}
	if _, err := tx.NewRaw("UPDATE alert_deliveries SET state = 'given_up', error = ?, changed_at = ? WHERE channel_id = ? AND state = 'pending'", why, tx.Now(), id).Exec(ctx); err != nil {
		return err
	}
	by := audit.Origin{Actor: audit.System("alerts")}
	if err := by.Record(ctx, tx, "alert_channel.gone", target(id), map[string]any{"name": name, "said": why}); err != nil {
		return err
	}
	_, err = Raise(ctx, tx, Alert{Key: "channel.gone " + id.String() + " " + tx.Now().UTC().Format(time.RFC3339), Kind: "channel.gone",
		Text: "The channel " + name + " is gone and was switched off. Give it a new address, or remove it."})
	return err
}

// Test sends a message that says it is one. Faults: channel.unknown, and
// channel.not_reached with what the other side said.
func (d *Desk) Test(ctx context.Context, id uuid.UUID, by string) error {
	row, to, err := d.channel(ctx, id)
	if err != nil {
		return err
	}
	m := message{Title: "A test", Text: "Alerts of the platform reach this channel. " + by + " sent this to try it.", At: d.Central.Now(), Link: d.Console + "/alerts/channels"}
	if row.Kind == Mail {
		key, err := uuid.NewV7()
		if err != nil {
			return err
		}
		return d.mailTo(ctx, to, "alert-test/"+key.String(), m)
	}
	err = d.discord(ctx, to, m)
	if err == nil {
		return nil
	}
	wait := pausedError{}
	switch {
	case errors.Is(err, errGone):
		return fault.Wrap(err, fault.Conflict, "channel.not_reached", "Discord does not know this webhook any more. Make a new one there and add it here.")
	case errors.As(err, &wait):
		return fault.Wrap(err, fault.Unavailable, "channel.not_reached", fmt.Sprintf("Discord asks us to wait %s. Try again then.", wait.wait.Round(time.Second)))
	}
	return fault.Wrap(err, fault.Conflict, "channel.not_reached", "The message did not get through. The address may be wrong, or the other side has trouble.")
}
