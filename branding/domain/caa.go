package domain

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// permission checks CAA the way the authority will (RFC 8659): the closest set of
// records up the tree decides, aliases are followed by the resolvers.
func (o *Observation) permission(ctx context.Context, p *Preflight, host string) {
	at, set, err := p.relevantCAA(ctx, host)
	if err != nil {
		o.failLookup(err)
		return
	}
	if len(set) == 0 {
		o.Allowed = true
		return
	}
	r := Record{Type: "CAA", Name: at, Found: shown(set), OK: caaAllows(set, p.Identity, p.Method, strings.HasPrefix(host, "*."))}
	if len(p.Identity) > 0 {
		r.Wanted = []string{`0 issue "` + p.Identity[0] + `"`}
	}
	o.Allowed = r.OK
	if !r.OK {
		r.Needed = true
		r.Note = "Add this record beside the others, or remove all CAA records."
		o.fail("caa.forbids", "A CAA record at "+at+" does not allow our certificate authority. Add "+strings.Join(r.Wanted, "")+" there.")
	}
	o.Records = append(o.Records, r)
}

func (p *Preflight) relevantCAA(ctx context.Context, host string) (at string, set []string, err error) {
	for name := strings.TrimPrefix(host, "*."); name != ""; _, name, _ = strings.Cut(name, ".") {
		_, some, err := agreed(p.Resolvers.ask(ctx, name, dns.TypeCAA))
		if err != nil {
			if !strings.Contains(name, ".") && name != host {
				return "", nil, nil // a top-level zone that answers nothing says nothing
			}
			return name, nil, err
		}
		if len(some) > 0 {
			return name, some, nil
		}
	}
	return "", nil, nil
}

// caaAllows reads records in the form `flag tag "value"`.
func caaAllows(set, identity []string, method string, wildcard bool) bool {
	tag := "issue"
	parsed := make([][3]string, 0, len(set))
	for _, s := range set {
		f := strings.SplitN(s, " ", 3)
		if len(f) != 3 {
			return false
		}
		value, err := strconv.Unquote(f[2])
		if err != nil {
			value = f[2]
		}
		name := strings.ToLower(f[1])
		if flag, _ := strconv.Atoi(f[0]); flag&128 != 0 && !slices.Contains([]string{"issue", "issuewild", "iodef"}, name) {
			return false // marked critical, and not known to us
		}
		if wildcard && name == "issuewild" {
			tag = "issuewild"
		}
		parsed = append(parsed, [3]string{f[0], name, value})
	}
	restricted := false
	for _, r := range parsed {
		if r[1] != tag {
			continue
		}
		restricted = true
		if issuerMatches(r[2], identity, method) {
			return true
		}
	}
	return !restricted
}

func issuerMatches(value string, identity []string, method string) bool {
	parts := strings.Split(value, ";")
	if !slices.ContainsFunc(identity, func(id string) bool { return strings.EqualFold(strings.TrimSpace(parts[0]), id) }) {
		return false
	}
	for _, param := range parts[1:] {
		k, v, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.EqualFold(strings.TrimSpace(k), "validationmethods") && method != "" &&
			!slices.Contains(strings.Split(strings.ReplaceAll(v, " ", ""), ","), method) {
			return false
		}
	}
	return true
}
