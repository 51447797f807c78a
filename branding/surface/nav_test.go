package surface

import (
	"slices"
	"testing"
)

func TestGroupsAreTabs(t *testing.T) {
	nav := []NavItem{{Label: "Home", Href: "/c"}, {Label: "Invoices", Href: "/c/invoices", Also: "/c/drafts", Group: "Billing"}, {Label: "Account", Href: "/c/account"}, {Label: "Credit", Href: "/c/credit", Group: "Billing"}}
	for path, want := range map[string]struct {
		tab   string
		group []string
	}{
		"/c":          {"Home", nil},
		"/c/credit/7": {"Billing", []string{"Invoices", "Credit"}},
		"/c/invoices": {"Billing", []string{"Invoices", "Credit"}},
		"/c/account":  {"Account", nil},
		"/c/drafts/9": {"Billing", []string{"Invoices", "Credit"}},
		"/c/security": {"", nil},
		"/elsewhere":  {"", nil},
	} {
		p := Page{Nav: markActive(slices.Clone(nav), path)}
		var tabs, group []string
		active := ""
		for _, n := range p.NavTabs() {
			tabs = append(tabs, n.Label+" "+n.Href)
			if n.Active {
				active = n.Label
			}
		}
		for _, n := range p.NavGroup() {
			group = append(group, n.Label)
		}
		if !slices.Equal(tabs, []string{"Home /c", "Billing /c/invoices", "Account /c/account"}) || active != want.tab || !slices.Equal(group, want.group) {
			t.Errorf("%s: tabs %q, at %q, in %q", path, tabs, active, group)
		}
	}
}
