package signin

import (
	"context"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Verify mails a person whose address is not confirmed a new link; those sent before
// end.
func Verify(ctx context.Context, tx tenancy.Statements, m Mailer, prefix string, p identity.Person) error {
	return sendLink(ctx, tx, m, prefix, p, identity.Verify, mail.VerifyAddress, map[string]string{"valid_for": "2 days"})
}
