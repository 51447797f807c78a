package alerts

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// The ways there are.
const (
	Discord = "discord"
	Mail    = "mail"
)

// The states of a channel. One is gone when the other side said that it is no more.
const (
	On   = "on"
	Off  = "off"
	Gone = "gone"
)

// sealPurpose binds a sealed target to this use; the channel's id is its associated data.
const sealPurpose = "alert channel"

// Sealer seals where a channel leads; *secrets.Keyring is one.
type Sealer interface {
	Seal(purpose string, aad, plain []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Rewrapper seals anew what an old key sealed; *secrets.Keyring is one.
type Rewrapper interface {
	Rewrap(purpose string, aad, sealed []byte) ([]byte, bool, error)
}

// Mailer takes letters within a transaction; mail.Outbox does.
type Mailer interface {
	Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error
}

// Desk is where staff look after alerts and channels, and what carries them. It is safe
// for concurrent use.
type Desk struct {
	Central *tenancy.Central
	Keys    Sealer
	Mail    Mailer
	Client  *http.Client // calls public addresses only, and follows nothing; see tenancy/egress
	Console string       // address of the console, for links; without a slash at the end
	// Hooks says which hosts a webhook may lead to; nil: Discord's.
	Hooks func(*url.URL) bool
}

// Channel is one way to staff. Its target is a secret and not in it.
type Channel struct {
	ID          uuid.UUID
	Kind        string
	Name        string
	Shown       string   `bun:"-"` // the target, so far as it may be shown
	Kinds       []string `bun:"-"` // of alerts it carries; none: all
	State       string
	LastError   string
	PausedUntil time.Time
	ChangedAt   time.Time
}

type channelRow struct {
	Channel
	SealedTarget []byte
	KindsText    string
}

const channelColumns = "id, kind, name, state, last_error, paused_until, changed_at, sealed_target, kinds::text AS kinds_text"

func target(id uuid.UUID) audit.Target { return audit.Target{Kind: "alert_channel", ID: id.String()} }

// Channels are all of them, by name.
func (d *Desk) Channels(ctx context.Context) (all []Channel, err error) {
	var rows []channelRow
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+channelColumns+" FROM alert_channels ORDER BY lower(name), id").Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("list alert channels: %w", err)
	}
	for _, r := range rows {
		to, err := d.open(&r)
		if err != nil {
			return nil, err
		}
		r.Shown = shown(r.Kind, to)
		all = append(all, r.Channel)
	}
	return all, nil
}

// open reads a row's kinds and where it leads.
func (d *Desk) open(r *channelRow) (to string, err error) {
	if err := json.Unmarshal([]byte(r.KindsText), &r.Kinds); err != nil {
		return "", fmt.Errorf("kinds of channel %s: %w", r.ID, err)
	}
	plain, err := d.Keys.Open(sealPurpose, []byte(r.ID.String()), r.SealedTarget)
	if err != nil {
		return "", fmt.Errorf("target of channel %s: %w", r.ID, err)
	}
	return string(plain), nil
}

// shown is as much of a target as may be seen: whoever has the whole address of a webhook
// can write there.
func shown(kind, to string) string {
	if kind == Mail {
		return to
	}
	u, err := url.Parse(to)
	if err != nil {
		return "a webhook"
	}
	tail := u.Path[max(len(u.Path)-4, 0):]
	return u.Host + "/…" + tail
}

// NewChannel is the form that makes one.
type NewChannel struct {
	Kind, Name, Target string
	Kinds              []string
}

var webhookPath = regexp.MustCompile(`^/api(/v[0-9]{1,2})?/webhooks/[0-9]{1,30}/[A-Za-z0-9_-]{1,200}$`)

// discordHook reports whether an address is one of Discord's webhooks.
func discordHook(u *url.URL) bool {
	host := u.Hostname()
	return u.Scheme == "https" && u.Port() == "" && webhookPath.MatchString(u.Path) &&
		(host == "discord.com" || host == "discordapp.com" || strings.HasSuffix(host, ".discord.com"))
}

func (d *Desk) check(n *NewChannel) error {
	wrong := map[string]string{}
	if n.Name = strings.Join(strings.Fields(cut(n.Name, 200)), " "); n.Name == "" || len([]rune(n.Name)) > 80 {
		wrong["name"] = "Give it a name of at most 80 characters."
	}
	n.Target = strings.TrimSpace(n.Target)
	switch n.Kind {
	case Mail:
		to, err := identity.ParseEmail(n.Target)
		if err != nil {
			wrong["target"] = "Give an e-mail address."
		}
		n.Target = to
	case Discord:
		u, err := url.Parse(n.Target)
		accept := d.Hooks
		if accept == nil {
			accept = discordHook
		}
		if err != nil || len(n.Target) > 500 || u.User != nil || u.Fragment != "" || u.RawQuery != "" || !accept(u) {
			wrong["target"] = "Give the address of a webhook as Discord shows it: https://discord.com/api/webhooks/…"
		}
	default:
		wrong["kind"] = "Choose mail or Discord."
	}
	for _, k := range n.Kinds {
		if !slices.ContainsFunc(Kinds(), func(x Kind) bool { return x.Value == k }) {
			wrong["kinds"] = "Choose among the kinds there are."
		}
	}
	return fault.Fields("channel.invalid", wrong)
}

// Add makes a channel that is on. Faults: channel.invalid about fields.
func (d *Desk) Add(ctx context.Context, n NewChannel, by audit.Origin) (uuid.UUID, error) {
	if err := d.check(&n); err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, err
	}
	sealed, err := d.Keys.Seal(sealPurpose, []byte(id.String()), []byte(n.Target))
	if err != nil {
		return uuid.Nil, fmt.Errorf("seal a channel: %w", err)
	}
	if n.Kinds == nil {
		n.Kinds = []string{}
	}
	kinds, err := json.Marshal(n.Kinds)
	if err != nil {
		return uuid.Nil, err
	}
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw(`INSERT INTO alert_channels (id, kind, name, sealed_target, kinds, state, last_error, changed_at) VALUES (?, ?, ?, ?, ?::jsonb, 'on', '', ?)`,
			id, n.Kind, n.Name, sealed, string(kinds), tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "alert_channel.added", target(id), map[string]any{"kind": n.Kind, "name": n.Name, "to": shown(n.Kind, n.Target)})
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("add a channel: %w", err)
	}
	return id, nil
}

var errNoChannel = fault.New(fault.NotFound, "channel.unknown", "There is no such channel.")

// Switch turns a channel on or off; one that was gone is tried again.
func (d *Desk) Switch(ctx context.Context, id uuid.UUID, on bool, by audit.Origin) error {
	state, action := Off, "alert_channel.switched_off"
	if on {
		state, action = On, "alert_channel.switched_on"
	}
	return d.change(ctx, id, by, action, "UPDATE alert_channels SET state = ?, last_error = '', paused_until = NULL, changed_at = ? WHERE id = ?", state, d.Central.Now(), id)
}

// Remove forgets a channel.
func (d *Desk) Remove(ctx context.Context, id uuid.UUID, by audit.Origin) error {
	return d.change(ctx, id, by, "alert_channel.removed", "DELETE FROM alert_channels WHERE id = ?", id)
}

func (d *Desk) change(ctx context.Context, id uuid.UUID, by audit.Origin, action, sql string, args ...any) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		res, err := tx.NewRaw(sql, args...).Exec(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", action, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			if err == nil {
				err = errNoChannel
			}
			return err
		}
		return by.Record(ctx, tx, action, target(id), nil)
	})
}

// Rewrap seals up to limit targets anew that another key than the first sealed, and
// answers how many.
func Rewrap(ctx context.Context, tx *tenancy.CentralTx, keys Rewrapper, limit int) (int, error) {
	var rows []struct {
		ID           uuid.UUID
		SealedTarget []byte
	}
	if err := tx.NewRaw("SELECT id, sealed_target FROM alert_channels ORDER BY id FOR UPDATE").Scan(ctx, &rows); err != nil {
		return 0, fmt.Errorf("rewrap alert channels: %w", err)
	}
	done := 0
	for _, r := range rows {
		fresh, changed, err := keys.Rewrap(sealPurpose, []byte(r.ID.String()), r.SealedTarget)
		if err != nil {
			return done, fmt.Errorf("rewrap channel %s: %w", r.ID, err)
		}
		if !changed || done >= limit {
			continue
		}
		if _, err := tx.NewRaw("UPDATE alert_channels SET sealed_target = ? WHERE id = ?", fresh, r.ID).Exec(ctx); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
