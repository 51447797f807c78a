package likeness_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/tenant/likeness"
)

func TestMailboxes(t *testing.T) {
	for typed, want := range map[string]string{
		"Ida@Example.com": "ida@example.com", " ida+shop@example.com ": "ida@example.com", "i.d.a@example.com": "i.d.a@example.com",
		"I.D.A+x@GoogleMail.com": "ida@gmail.com", "+@example.com": "+@example.com", "ida@example.com.": "ida@example.com",
		"": "", "ida": "", "@example.com": "", "ida@": "", "a@b@c": "", "...@gmail.com": "...@gmail.com",
	} {
		if got := likeness.Mailbox(typed); got != want {
			t.Errorf("%q is %q, want %q", typed, got, want)
		}
	}
}

func TestNetworks(t *testing.T) {
	for typed, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9%eth0": "2001:db8:1:2::/64", "": "", "example.com": "",
	} {
		if got := likeness.Network(typed); got != want {
			t.Errorf("%q is %q, want %q", typed, got, want)
		}
	}
}

func TestHouseholds(t *testing.T) {
	a, b := likeness.Household("Ida Müller", "Road 1", "10 115", "DE"), likeness.Household("ida  müller", "ROAD-1", "10115", "de")
	if a == "" || a != b {
		t.Errorf("%q and %q", a, b)
	}
	if likeness.Household("Ida", "", "10115", "DE") != "" || likeness.Household("", "Road 1", "", "") != "" {
		t.Error("what says nothing is like nothing")
	}
}

// A canonical form is its own canonical form.
func TestCanonicalOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once := likeness.Mailbox(rapid.StringMatching(`[a-zA-Z0-9.+_-]{0,8}@(gmail\.com|googlemail\.com|example\.org\.?|)`).Draw(t, "address"))
		if once != "" && likeness.Mailbox(once) != once {
			t.Fatalf("%q becomes %q", once, likeness.Mailbox(once))
		}
	})
}
