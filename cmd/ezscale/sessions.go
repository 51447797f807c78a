package main

import (
	"os"
	"strings"
)

// nameSessions names every connection to PostgreSQL that this process opens, of whatever
// login, after what the process does: "ezscale serve". pg_stat_activity then tells
// them apart. A name that the DSN or PGAPPNAME gives stays.
func nameSessions(args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || os.Getenv("PGAPPNAME") != "" {
		return nil
	}
	return os.Setenv("PGAPPNAME", "ezscale "+args[0])
}
