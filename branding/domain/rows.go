package domain

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// row is a domain as the table keeps it.
type row struct {
	ID             uuid.UUID
	TenantID       tenancy.ID
	Host           string
	State          State
	VerifyToken    string
	EdgeLabel      string
	IsPrimary      bool
	Serving        bool
	PendingSince   time.Time
	VerifiedAt     *time.Time
	DNSOkAt        *time.Time `bun:"dns_ok_at"`
	DriftedAt      *time.Time
	CertSerial     *string
	CertIssuer     *string
	Authority      *string
	NotBefore      *time.Time
	NotAfter       *time.Time
	RenewAt        *time.Time
	NextAt         *time.Time
	OrderAfter     *time.Time
	Attempts       int
	CheckedAt      *time.Time
	OwnerCheckedAt *time.Time
	Observed       json.RawMessage
	LastErrorCode  *string
	LastError      *string
	CreatedBy      string
	CreatedAt      time.Time
	ChangedAt      time.Time
	RemovedAt      *time.Time
}

const columns = `id, tenant_id, host, state, verify_token, edge_label, is_primary, serving, pending_since, verified_at, dns_ok_at, drifted_at,
	cert_serial, cert_issuer, authority, not_before, not_after, renew_at, next_at, order_after, attempts, checked_at,
	owner_checked_at, observed, last_error_code, last_error, created_by, created_at, changed_at, removed_at`

func (r row) domain() Domain {
	d := Domain{
		ID: r.ID, Tenant: r.TenantID, Host: r.Host, State: r.State, Token: r.VerifyToken, EdgeLabel: r.EdgeLabel,
		Primary: r.IsPrimary, Serving: r.Serving, PendingSince: r.PendingSince, VerifiedAt: r.VerifiedAt, DNSOkAt: r.DNSOkAt, DriftedAt: r.DriftedAt,
		CertSerial: value(r.CertSerial), CertIssuer: value(r.CertIssuer), Authority: value(r.Authority),
		NotBefore: r.NotBefore, NotAfter: r.NotAfter, RenewAt: r.RenewAt, NextAt: r.NextAt, OrderAfter: r.OrderAfter,
		Attempts: r.Attempts, CheckedAt: r.CheckedAt, OwnerCheckAt: r.OwnerCheckedAt, ErrorCode: value(r.LastErrorCode),
		Error: value(r.LastError), CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, ChangedAt: r.ChangedAt, RemovedAt: r.RemovedAt,
	}
	_ = json.Unmarshal(r.Observed, &d.Observed) // an observation of an older shape is looked up anew soon
	return d
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// query reads domains; tail is what follows the table's name.
func selectDomains(ctx context.Context, tx tenancy.Statements, tail string, args ...any) ([]Domain, error) {
	var rows []row
	if err := tx.NewRaw("SELECT "+columns+" FROM domains "+tail, args...).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("read domains: %w", err)
	}
	return domainsOf(rows), nil
}

func domainsOf(rows []row) []Domain {
	all := make([]Domain, len(rows))
	for i, r := range rows {
		all[i] = r.domain()
	}
	return all
}

func insertDomain(ctx context.Context, tx *tenancy.CentralTx, d Domain) error {
	_, err := tx.NewRaw(`INSERT INTO domains (id, tenant_id, host, state, verify_token, edge_label, pending_since, next_at, created_by, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.ID, d.Tenant, d.Host, d.State, d.Token, d.EdgeLabel, d.PendingSince, d.NextAt, d.CreatedBy, d.CreatedAt, d.ChangedAt).Exec(ctx)
	return err
}

// save writes what can change. The caller holds the row's lock.
func save(ctx context.Context, tx *tenancy.CentralTx, d *Domain) error {
	observed, err := json.Marshal(d.Observed)
	if err != nil {
		return fmt.Errorf("save %s: %w", d.Host, err)
	}
	d.ChangedAt = tx.Now()
	_, err = tx.NewRaw(`UPDATE domains SET state = ?, is_primary = ?, serving = ?, pending_since = ?, verified_at = ?, dns_ok_at = ?, drifted_at = ?,
			cert_serial = ?, cert_issuer = ?, authority = ?, not_before = ?, not_after = ?, renew_at = ?, next_at = ?, order_after = ?,
			attempts = ?, checked_at = ?, owner_checked_at = ?, observed = ?::jsonb, last_error_code = ?, last_error = ?,
			changed_at = ?, removed_at = ?
		WHERE id = ?`,
		d.State, d.Primary, d.Serving, d.PendingSince, d.VerifiedAt, d.DNSOkAt, d.DriftedAt,
		orNil(d.CertSerial), orNil(d.CertIssuer), orNil(d.Authority), d.NotBefore, d.NotAfter, d.RenewAt, d.NextAt, d.OrderAfter,
		d.Attempts, d.CheckedAt, d.OwnerCheckAt, string(observed), orNil(d.ErrorCode), orNil(d.Error),
		d.ChangedAt, d.RemovedAt, d.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save %s: %w", d.Host, err)
	}
	return nil
}

type eventRow struct {
	ID        uuid.UUID
	DomainID  uuid.UUID
	At        time.Time
	Actor     string
	FromState State
	ToState   State
	Code      string
	Detail    string
}

func insertEvent(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID, e Event) error {
	_, err := tx.NewRaw(`INSERT INTO domain_events (id, domain_id, at, actor, from_state, to_state, code, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, id, e.At, e.Actor, e.From, e.To, e.Code, e.Detail).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep the event %s: %w", e.Code, err)
	}
	return nil
}

func selectEvents(ctx context.Context, tx tenancy.Statements, id uuid.UUID, limit int) ([]Event, error) {
	var rows []eventRow
	err := tx.NewRaw("SELECT id, domain_id, at, actor, from_state, to_state, code, detail FROM domain_events WHERE domain_id = ? ORDER BY at DESC, id DESC LIMIT ?", id, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	all := make([]Event, len(rows))
	for i, r := range rows {
		all[i] = Event{ID: r.ID, At: r.At, Actor: r.Actor, From: r.FromState, To: r.ToState, Code: r.Code, Detail: r.Detail}
	}
	return all, nil
}
