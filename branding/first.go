package branding

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
)

// FirstNote is the note of the version a tenant begins with.
const FirstNote = "As it came"

// First publishes the version a tenant begins with, as a part of making the tenant;
// by is who it says made it. Where there is a version already it does nothing.
func First(ctx context.Context, tx *tenancy.Tx, c Content, by string) error {
	c, err := c.Check([]string{"base", c.Theme})
	if err != nil {
		return fmt.Errorf("first brand: %w", err)
	}
	var some bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM brand_versions)").Scan(ctx, &some); err != nil || some {
		return err
	}
	_, sheet := Stylesheet(Brand{Tokens: c.Tokens, CustomCSS: c.CustomCSS})
	_, err = insertVersion(ctx, tx, Version{State: statePublished, Content: c, Note: FirstNote, CreatedBy: by, Stylesheet: sheet})
	if err != nil {
		return fmt.Errorf("first brand: %w", err)
	}
	return nil
}
