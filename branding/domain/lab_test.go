package domain

import (
	"context"
	"net"
	"strconv"
	"testing"

	"github.com/libdns/libdns"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
)

// labProvider edits the lab's zone the way a DNS host's API would.
type labProvider struct {
	zone           *acmelab.Zone
	added, deleted int
}

func (p *labProvider) AppendRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	for _, rec := range records {
		rr := rec.RR()
		p.added++
		if err := p.zone.Add(acmelab.Record{Name: libdns.AbsoluteName(rr.Name, zone), Type: rr.Type, Value: rr.Data}); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func (p *labProvider) DeleteRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	for _, rec := range records {
		rr := rec.RR()
		p.deleted++
		if err := p.zone.Delete(libdns.AbsoluteName(rr.Name, zone), rr.Type, rr.Data); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func portOf(t testing.TB, addr string) int {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	must(t, err)
	n, err := strconv.Atoi(p)
	must(t, err)
	return n
}
