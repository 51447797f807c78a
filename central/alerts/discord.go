package alerts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// message is what is said, whichever way it goes.
type message struct {
	Title, Text, Who string
	Facts            []Pair
	At               time.Time
	Link             string
}

// What Discord takes, in letters.
const (
	maxTitle       = 256
	maxDescription = 4096
	maxFields      = 25
	maxFieldName   = 256
	maxFieldValue  = 1024
)

// What is waited when Discord asks for patience without saying how much, and at most.
const (
	usualPause = 5 * time.Second
	maxPause   = time.Hour
)

type discordField struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline"`
}

type discordEmbed struct {
	Title       string         `json:"title"`
	Description string         `json:"description"`
	URL         string         `json:"url,omitempty"`
	Timestamp   string         `json:"timestamp"`
	Fields      []discordField `json:"fields,omitempty"`
}

type discordBody struct {
	Embeds []discordEmbed `json:"embeds"`
	// Nobody is called by name, whatever a customer wrote into what is quoted.
	AllowedMentions struct {
		Parse []string `json:"parse"`
	} `json:"allowed_mentions"`
}

func discordMessage(m message) discordBody {
	e := discordEmbed{Title: cut(m.Title, maxTitle), Description: cut(m.Text, maxDescription), Timestamp: m.At.UTC().Format(time.RFC3339)}
	if u, err := url.Parse(m.Link); err == nil && u.Host != "" {
		e.URL = m.Link
	}
	if m.Who != "" {
		e.Fields = append(e.Fields, discordField{"Reseller", cut(m.Who, maxFieldValue), true})
	}
	for _, p := range m.Facts {
		if len(e.Fields) < maxFields && p.Name != "" && p.Value != "" {
			e.Fields = append(e.Fields, discordField{cut(p.Name, maxFieldName), cut(p.Value, 200), true})
		}
	}
	b := discordBody{Embeds: []discordEmbed{e}}
	b.AllowedMentions.Parse = []string{}
	return b
}

// discord posts to a webhook and waits for the message to be kept. It returns errGone,
// errRefused, a pausedError, or what may pass.
func (d *Desk) discord(ctx context.Context, to string, m message) error {
	body, err := json.Marshal(discordMessage(m))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to+"?wait=true", bytes.NewReader(body))
	if err != nil {
		return errRefused // not err: it holds the address, which is a secret
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "EZSCALE (alerts, 1)")
	res, err := d.Client.Do(req)
	if err != nil {
		return withoutAddress(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 16<<10))
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests:
		return pausedError{pauseOf(res.Header.Get("Retry-After"), answer)}
	case code == http.StatusNotFound, code == http.StatusUnauthorized, code == http.StatusForbidden:
		// Asking again would count against our address.
		return fmt.Errorf("%w: Discord answered %d", errGone, code)
	case code >= 500 || code == http.StatusRequestTimeout:
		return fmt.Errorf("Discord answered %d", code) //nolint:staticcheck // a name
	default:
		return fmt.Errorf("%w: Discord answered %d", errRefused, code)
	}
}

// withoutAddress is what went wrong with a call, without the address: it is a secret.
func withoutAddress(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return fmt.Errorf("Discord was not reached: %w", ue.Err) //nolint:staticcheck // a name
	}
	return errors.New("Discord was not reached") //nolint:staticcheck // a name
}

// pauseOf reads how long to wait: the header's seconds, or the body's.
func pauseOf(header string, body []byte) time.Duration {
	seconds, err := strconv.ParseFloat(header, 64)
	if err != nil {
		var said struct {
			RetryAfter float64 `json:"retry_after"`
		}
		if json.Unmarshal(body, &said) != nil {
			return usualPause
		}
		seconds = said.RetryAfter
	}
	if !(seconds > 0) { // also not a number
		return usualPause
	}
	return min(time.Duration(min(seconds, maxPause.Seconds())*float64(time.Second)), maxPause)
}
