package audit

import (
	"context"

	"github.com/ezscale/ezscale/tenancy"
)

// Origin is who asks for a change and from where; whole changes take one.
type Origin struct {
	Actor     Actor
	IP        string
	Country   string // of the address, as a trusted proxy says it; empty: not known. It is not part of the trail
	RequestID string
}

// Record appends an entry for what o did; see Append.
func (o Origin) Record(ctx context.Context, tx tenancy.Statements, action string, target Target, detail map[string]any) error {
	return Append(ctx, tx, Entry{Actor: o.Actor, Action: action, Target: target, Detail: detail, IP: o.IP, RequestID: o.RequestID})
}
