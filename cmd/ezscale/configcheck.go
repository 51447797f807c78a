package main

import (
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/ezscale/ezscale/cmd/ezscale/setting"
)

func postgresURL(name, value string) error {
	return urlOf(name, value, "postgres", "postgresql")
}

func urlOf(name, value string, schemes ...string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil {
		return setting.Problem{Name: name, Text: "is no URL"} // the error would show the password
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return nil
		}
	}
	return setting.Problem{Name: name, Text: "must begin with " + strings.Join(schemes, ":// or ") + "://"}
}

func address(name, value string) error {
	if _, _, err := net.SplitHostPort(value); err != nil {
		return setting.Problem{Name: name, Text: "must be host:port or :port, and is " + value}
	}
	return nil
}

func hostName(name, value string) error {
	if value == "" || strings.ContainsAny(value, "/:@ _") || strings.HasPrefix(value, ".") {
		return setting.Problem{Name: name, Text: "must be a host name without scheme, port or path"}
	}
	return nil
}

func between(name string, n, low, high int) error {
	if n < low || n > high {
		return setting.Problem{Name: name, Text: "must be from " + itoa(low) + " to " + itoa(high) + ", and is " + itoa(n)}
	}
	return nil
}

func atLeast(name string, d, least time.Duration) error {
	if d < least {
		return setting.Problem{Name: name, Text: "must be " + least.String() + " or more"}
	}
	return nil
}

func oneOf(name, value string, allowed ...string) error {
	for _, a := range allowed {
		if a == value {
			return nil
		}
	}
	return setting.Problem{Name: name, Text: "must be one of " + strings.Join(allowed, ", ")}
}
