package invoicing_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// A gift code is paid for, shown to its buyer, and redeemed once by whoever has it.
func TestGiftCodesThatAreBought(t *testing.T) {
	w := tenancytest.New(t)
	s, other := open(t, w, w.A), open(t, w, w.B)
	ctx := t.Context()
	friend := uuid.New()
	s.customer(friend, "Friend", "DE", "")
	buy := func(key string) uuid.UUID {
		t.Helper()
		up, err := invoicing.AskTopUp(ctx, s.db, invoicing.TopUp{Key: key, AccountID: s.account, Amount: eur(2000), Gift: true}, olga)
		if err != nil {
			t.Fatal(err)
		}
		paid := uuid.New()
		s.pay(up, paid, 2000)
		s.pay(up, paid, 2000)
		return paid
	}
	gift := buy("1")
	if p := s.purse(); len(p.Balances) != 0 {
		t.Errorf("the buyer has it: %+v", p)
	}
	s.hold(1)
	if _, err := credit.Show(ctx, s.db, friend, gift, olga); !fault.Is(err, "gift.not_found") {
		t.Errorf("shown to somebody else: %v", err)
	}
	lost, err := credit.Show(ctx, s.db, s.account, gift, olga)
	if err != nil {
		t.Fatal(err)
	}
	code, err := credit.Show(ctx, s.db, s.account, gift, olga)
	if err != nil || code == lost {
		t.Fatal(code, lost, err)
	}
	for _, bad := range []string{lost, "", "ABCD", strings.Repeat("A", 16), "\x00\xff", strings.Repeat("Z", 5000), "'; DROP--"} {
		if _, err := credit.Redeem(ctx, s.db, friend, bad, olga); !fault.Is(err, "gift.unknown") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if _, err := credit.Redeem(ctx, other.db, other.account, code, olga); !fault.Is(err, "gift.unknown") {
		t.Errorf("at another shop: %v", err)
	}
	var wait sync.WaitGroup
	var redeemed atomic.Int32
	for i := range 20 {
		wait.Go(func() {
			who := friend
			if i%2 == 0 {
				who = s.account
			}
			switch _, err := credit.Redeem(ctx, s.db, who, " "+strings.ToLower(code), olga); {
			case err == nil:
				redeemed.Add(1)
			case !fault.Is(err, "gift.redeemed"):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := redeemed.Load(); n != 1 {
		t.Errorf("redeemed %d times", n)
	}
	s.hold(1)
	// Its money does not go back once it is redeemed; before, all of it or nothing.
	withdraw := func(gift uuid.UUID, minor int64, gone bool) error {
		return s.db.Update(ctx, func(tx *tenancy.Tx) error {
			return invoicing.WithdrawTopUp(ctx, tx, gift, uuid.New(), eur(minor), gone, "Olga")
		})
	}
	if err := withdraw(gift, 2000, false); !fault.Is(err, "gift.redeemed") {
		t.Error(err)
	}
	second := buy("2")
	if err := withdraw(second, 500, false); !fault.Is(err, "gift.whole") {
		t.Error(err)
	}
	code, err = credit.Show(ctx, s.db, s.account, second, olga)
	if err != nil {
		t.Fatal(err)
	}
	if err := withdraw(second, 2000, false); err != nil {
		t.Fatal(err)
	}
	if _, err := credit.Redeem(ctx, s.db, friend, code, olga); !fault.Is(err, "gift.unknown") {
		t.Errorf("given back and redeemed: %v", err)
	}
	other.hold(0)
}

func TestGiftCodesThatTheTeamMakes(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	ctx := t.Context()
	b := credit.Batch{Key: uuid.New(), Name: "Fair", Count: "3", Amount: "7.50", Currency: "EUR", ExpiresOn: s.Clock.Now().AddDate(0, 0, 1).Format(time.DateOnly)}
	codes, err := credit.MakeCodes(ctx, s.db, b, time.UTC, olga)
	if err != nil || len(codes) != 3 {
		t.Fatal(codes, err)
	}
	if _, err := credit.MakeCodes(ctx, s.db, b, time.UTC, olga); !fault.Is(err, "gift.made_before") {
		t.Errorf("twice: %v", err)
	}
	for field, spoil := range map[string]func(*credit.Batch){
		"count": func(b *credit.Batch) { b.Count = "501" }, "amount": func(b *credit.Batch) { b.Amount = "-1" }, "name": func(b *credit.Batch) { b.Name = " \x00" }, "expires": func(b *credit.Batch) { b.ExpiresOn = "1999-01-01" },
	} {
		bad := b
		bad.Key = uuid.New()
		spoil(&bad)
		if _, err := credit.MakeCodes(ctx, s.db, bad, time.UTC, olga); fault.From(err).Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	if g, err := credit.Redeem(ctx, s.db, s.account, codes[0], olga); err != nil || g.Amount != eur(750) || g.Bought {
		t.Errorf("%+v %v", g, err)
	}
	if n, err := credit.WithdrawCodes(ctx, s.db, b.Key, olga); err != nil || n != 2 {
		t.Errorf("%d %v", n, err)
	}
	if _, err := credit.Redeem(ctx, s.db, s.account, codes[1], olga); !fault.Is(err, "gift.unknown") {
		t.Errorf("withdrawn: %v", err)
	}
	b.Key = uuid.New()
	if codes, err = credit.MakeCodes(ctx, s.db, b, time.UTC, olga); err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(72 * time.Hour)
	if _, err := credit.Redeem(ctx, s.db, s.account, codes[0], olga); !fault.Is(err, "gift.expired") {
		t.Errorf("expired: %v", err)
	}
	b.Key, b.Currency, b.ExpiresOn = uuid.New(), "USD", ""
	if codes, err = credit.MakeCodes(ctx, s.db, b, time.UTC, olga); err != nil {
		t.Fatal(err)
	}
	if _, err := credit.Redeem(ctx, s.db, s.account, codes[0], olga); !fault.Is(err, "gift.currency") {
		t.Errorf("dollars: %v", err)
	}
	// Nobody can read a code from what is kept.
	var kept string
	if err := s.Owner.QueryRow(ctx, "SELECT string_agg(x::text, '') FROM "+w.A.ID.Schema()+".gift_codes x").Scan(&kept); err != nil {
		t.Fatal(err)
	}
	for _, code := range codes {
		if strings.Contains(kept, code) || strings.Contains(kept, strings.ReplaceAll(code, "-", "")) {
			t.Error("a code is kept in the clear")
		}
	}
	s.hold(0)
	for _, x := range s.books().Balances {
		if x.Account == billing.Promotions && x.Minor != 750 {
			t.Errorf("%+v", x)
		}
	}
}
