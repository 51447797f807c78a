package tenancy_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestAConnectionThatIsGoneIsDown asks on a connection whose backend is ended, and again
// once the driver has closed it: both say that Postgres is away, and a refused statement
// does not.
func TestAConnectionThatIsGoneIsDown(t *testing.T) {
	w := tenancytest.New(t)
	conn, err := pgx.ConnectConfig(t.Context(), w.Owner.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELEC"); err == nil || tenancy.IsDown(err) {
		t.Errorf("a statement nobody understands: %v", err)
	}
	if _, err := w.Owner.Exec(t.Context(), "SELECT pg_terminate_backend($1::int)", conn.PgConn().PID()); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"ended", "closed"} {
		if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil || !tenancy.IsDown(fmt.Errorf("wait for a connection: %w", err)) {
			t.Errorf("a connection that is %s: %v", state, err)
		}
	}
	if tenancy.IsDown(errors.New("conn closed")) {
		t.Error("words are no evidence")
	}
}
