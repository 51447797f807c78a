package api_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/referral"
)

// A program reads its account's link and who came by it, and nothing of another's.
func TestReferralsByAProgram(t *testing.T) {
	l := newLab(t)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	newcomer := uuid.Must(uuid.NewV7())
	if err := referral.Save(t.Context(), l.DB(l.A), referral.Program{On: true, Terms: map[string]billing.ReferralTerms{"EUR": {Referrer: 1000}}}, origin); err != nil {
		t.Fatal(err)
	}
	l.exec(l.A, "INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Newcomer', 'EUR', now(), now())", newcomer)
	if err := l.DB(l.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return referral.Join(t.Context(), tx, newcomer, referral.Visit{Code: referral.Code(ada.account), At: tx.Now()})
	}); err != nil {
		t.Fatal(err)
	}
	came := func(c customer) ([]any, said) {
		got := l.call("GET", "/referrals", c.token, nil)
		all, _ := got.json["brought"].([]any)
		return all, got
	}
	if all, got := came(ada); got.status != 200 || len(all) != 1 || all[0].(map[string]any)["state"] != "joined" || got.json["on"] != true {
		t.Errorf("%d %s", got.status, got.body)
	}
	if err := referral.Grant(t.Context(), l.DB(l.A), newcomer, "", origin); err != nil {
		t.Fatal(err)
	}
	if all, got := came(ada); len(all) != 1 || all[0].(map[string]any)["credit"].(map[string]any)["amount"] != "10.00" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if all, got := came(eve); got.status != 200 || len(all) != 0 {
		t.Errorf("another account: %d %s", got.status, got.body)
	}
}
