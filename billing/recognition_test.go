package billing_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func on(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// Worked examples: what of an invoice is earned when it is issued, and what later. IFRS 15
// paragraphs 35(a) and 39 to 41 (earned as the service is given, by the time that passed),
// 106 (what is paid before is a contract liability), B48 to B51 (a setup is no service of
// its own); HGB § 250 (2) and § 252 (1) no. 5 say the same of a year's end.
func TestDeferrals(t *testing.T) {
	month := billing.Period{From: on("2026-11-15"), To: on("2026-12-15")}
	past := billing.Period{From: on("2026-10-15"), To: on("2026-11-15")}
	line := func(kind string, net int64, p billing.Period) billing.Line {
		return billing.Line{Kind: kind, SubscriptionID: "s", Quantity: 1, Net: eur(net), Period: p}
	}
	usage := line("usage", 700, past)
	usage.MeterID = "m"
	awaits := line("plan", 1000, billing.Period{})
	awaits.Awaits = true
	for _, x := range []struct {
		what  string
		lines []billing.Line
		ahead []billing.Deferral
	}{
		{"a month ahead", []billing.Line{line("plan", 3000, month)}, []billing.Deferral{{0, eur(3000), month}}},
		{"a discount and a credit are earned with what they are taken off", []billing.Line{line("plan", 3000, month), line("credit", -500, billing.Period{})},
			[]billing.Deferral{{0, eur(3000), month}, {1, eur(-500), month}}},
		{"a setup is earned over the first period; both begin with the payment", []billing.Line{awaits, line("setup", 2500, billing.Period{})},
			[]billing.Deferral{{Line: 0, Net: eur(1000)}, {Line: 1, Net: eur(2500)}}},
		{"what was used is earned; what is ahead is not", []billing.Line{usage, line("plan", 3000, month)}, []billing.Deferral{{1, eur(3000), month}}},
		{"a month that is over", []billing.Line{line("plan", 3000, past)}, nil},
		{"what is sold once, and a fee", []billing.Line{line("plan", 9900, billing.Period{}), {Kind: "fee", Net: eur(500)}}, nil},
		{"both sides of a change are earned over what is left", []billing.Line{line("plan", -1500, month), line("plan", 3000, month)},
			[]billing.Deferral{{0, eur(-1500), month}, {1, eur(3000), month}}},
	} {
		got := billing.Deferrals(x.lines, on("2026-11-15"))
		if len(got) != len(x.ahead) {
			t.Errorf("%s: %+v", x.what, got)
			continue
		}
		for i := range got {
			if got[i] != x.ahead[i] {
				t.Errorf("%s: %+v, want %+v", x.what, got[i], x.ahead[i])
			}
		}
	}
}

// A year of 120.00 from 15 November: 16 of 365 days are earned in November.
func TestEarnedByMonths(t *testing.T) {
	year := billing.Period{From: on("2026-11-15"), To: on("2027-11-15")}
	cuts := billing.Cuts(year.From, on("2027-12-01"), time.UTC)
	if len(cuts) != 13 || !cuts[0].Equal(on("2026-12-01")) {
		t.Fatalf("%v", cuts)
	}
	want, sum := map[int]int64{0: 526, 1: 1019, 3: 921, 12: 460}, int64(0)
	for i, cut := range cuts {
		earned, err := billing.Earned(eur(12_000), year, cut)
		if err != nil {
			t.Fatal(err)
		}
		if part := earned.Minor - sum; want[i] != 0 && part != want[i] {
			t.Errorf("by %s: %d more", cut, part)
		}
		sum = earned.Minor
	}
	if sum != 12_000 {
		t.Errorf("%d in all", sum)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if cuts := billing.Cuts(on("2026-10-31").Add(23*time.Hour), on("2026-12-01"), berlin); len(cuts) != 1 || cuts[0].Hour() != 23 {
		t.Errorf("in Berlin: %v", cuts)
	}
}

// However a net is earned in parts and credited in parts, all of it is one or the other, and
// the books balance.
func TestAnyEarningAndCrediting(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var left []billing.Money
		var sum int64
		for range rapid.IntRange(1, 6).Draw(r, "lines") {
			n := rapid.Int64Range(-500, 5000).Draw(r, "net")
			left, sum = append(left, eur(n)), sum+n
		}
		if _, err := billing.Take(left, eur(sum+1)); err == nil {
			r.Fatal("more than there is")
		}
		for sum > 0 {
			amount := rapid.Int64Range(1, sum).Draw(r, "credit")
			parts, err := billing.Take(left, eur(amount))
			if err != nil {
				r.Fatal(err)
			}
			var given int64
			for i, p := range parts {
				was := left[i].Minor
				left[i].Minor -= p.Minor
				if given += p.Minor; was*left[i].Minor < 0 || was*p.Minor < 0 {
					r.Fatalf("%d of %d", p.Minor, was)
				}
			}
			if given != amount {
				r.Fatalf("%d of %d", given, amount)
			}
			sum -= amount
		}
		net, ahead, tax := eur(rapid.Int64Range(-100, 9999).Draw(r, "net")), eur(rapid.Int64Range(-100, 9999).Draw(r, "ahead")), eur(rapid.Int64Range(0, 999).Draw(r, "tax"))
		all := append(billing.PostInvoiceAhead(net, ahead, tax), append(billing.PostEarned(ahead), billing.PostCreditAhead(net, eur(0), tax)...)...)
		balances, err := billing.Balances(all)
		if err != nil {
			r.Fatal(err)
		}
		for account, m := range balances {
			if !m.IsZero() {
				r.Fatalf("%s: %s", account, m)
			}
		}
	})
}
