package catalog

import (
	"regexp"
	"strings"
)

// named reads the name that the customer gives it.
func (c *Configured) named(in Picked, label string, wrong map[string]string) {
	name, ok := hostname(in.Hostname)
	if !ok {
		wrong["hostname"] = "Please use letters, digits, hyphens and points, such as web1.example.com."
	}
	if c.Picked.Hostname = name; name != "" {
		c.Chosen = append([]Fact{{Label: label, Value: name}}, c.Chosen...)
	}
}

// NameAsked is what a customer names of a plan that no platform delivers; empty: nothing.
func (p FullPlan) NameAsked() string {
	if p.SKU != "" {
		return "Host name"
	}
	if !p.Delivery.ByHand {
		return ""
	}
	switch p.Type {
	case WebHosting:
		return "Domain"
	case VPS, Dedicated, GameServer, CloudDesktop, VPNServer:
		return "Host name"
	}
	return ""
}

var hostnames = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// hostname reads what was typed; empty is right too.
func hostname(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "."))
	if s == "" {
		return "", true
	}
	if len(s) > 200 || !hostnames.MatchString(s) {
		return "", false
	}
	return s, true
}
