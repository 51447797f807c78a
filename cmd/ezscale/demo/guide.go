package demo

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pquerna/otp/totp"
)

// Guide is what there is to see and how to sign in.
type Guide struct {
	Sites   []Site  `json:"sites"`
	Logins  []Login `json:"logins"`
	Index   string  `json:"index"`
	DNS     string  `json:"dns"`
	Mail    string  `json:"mail"`
	Root    string  `json:"root_certificate"`
	Metrics string  `json:"metrics"`
	Example string  `json:"-"`
	File    string  `json:"-"`
	TLSPort int     `json:"https_port"`
}

// Site is one site of the demo.
type Site struct {
	Name  string `json:"name"`
	Slug  string `json:"slug,omitempty"`
	HTTP  string `json:"http"`
	HTTPS string `json:"https"`
	About string `json:"about"`
}

// Login is one person who can sign in.
type Login struct {
	Who      string `json:"who"`
	World    string `json:"world"`
	Tenant   string `json:"tenant,omitempty"`
	URL      string `json:"url"`
	Email    string `json:"email"`
	Password string `json:"password"`
	Secret   string `json:"totp_secret,omitempty"`
	Code     string `json:"code_now,omitempty"`
}

// at is the guide with the codes of a moment.
func (g Guide) at(now time.Time) Guide {
	logins := make([]Login, len(g.Logins))
	for i, l := range g.Logins {
		if l.Secret != "" {
			if code, err := totp.GenerateCode(l.Secret, now); err == nil {
				l.Code = code
			}
		}
		logins[i] = l
	}
	g.Logins = logins
	return g
}

func (g Guide) write(w io.Writer, now time.Time) {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(g.at(now))
}

// Save writes dir/logins.json, for its owner only. Codes change and are left out.
func (g Guide) Save(dir string) error {
	b, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "logins.json")
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Chmod(path, 0o600) // it may have been there before
}
