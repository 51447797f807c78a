package identity

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

func TestSecondFactorsSurviveTheRotationOfKeys(t *testing.T) {
	h := mustHouse(t)
	oldKey, err := secrets.NewKey("old")
	must(t, err)
	newKey, err := secrets.NewKey("new")
	must(t, err)
	ring := func(s string) *secrets.Keyring {
		r, err := secrets.Parse(s)
		must(t, err)
		return r
	}
	h.desk.Factors.Keys = ring(oldKey)
	p := h.mustAdd(t, h.A, "ada@alpha.test")
	secret, _ := h.mustTOTP(t, h.A, p)
	h.desk.Factors.Keys = ring(newKey + "," + oldKey)
	for _, want := range []int{1, 0} {
		must(t, h.DB(h.A).Update(t.Context(), func(tx *tenancy.Tx) error {
			n, err := h.desk.Factors.Rewrap(t.Context(), tx)
			if n != want {
				t.Errorf("%d secrets were sealed again, want %d", n, want)
			}
			return err
		}))
	}
	h.desk.Factors.Keys = ring(newKey)
	h.pass(time.Minute)
	must(t, h.DB(h.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return h.desk.Factors.Check(t.Context(), tx, p.ID, h.code(t, secret))
	}))
}
