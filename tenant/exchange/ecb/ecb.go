// Package ecb reads the euro foreign exchange reference rates that the European Central Bank
// publishes each working day (eurofxref-daily.xml). It owns the file's form and nothing of what
// the rates are used for.
package ecb

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ezscale/ezscale/billing"
)

// ErrUnavailable says that there is no answer that could be read.
var ErrUnavailable = errors.New("no rates from the European Central Bank")

// maxFile is the most of a file that is read, and maxRates how many rates it may have.
const (
	maxFile  = 256 << 10
	maxRates = 200
)

// Client fetches the file. It is safe for concurrent use.
type Client struct {
	URL  string
	HTTP *http.Client
}

// Latest is the last published day's rates: what one euro is worth. Every error is ErrUnavailable.
func (c Client) Latest(ctx context.Context) ([]billing.ExchangeRate, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrUnavailable, res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return Parse(b)
}

// Parse reads a file. A rate of a currency that is not known here is left out.
func Parse(b []byte) ([]billing.ExchangeRate, error) {
	var file struct {
		Days []struct {
			Time  string `xml:"time,attr"`
			Rates []struct {
				Currency string `xml:"currency,attr"`
				Rate     string `xml:"rate,attr"`
			} `xml:"Cube"`
		} `xml:"Cube>Cube"`
	}
	if err := xml.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if len(file.Days) == 0 || len(file.Days[0].Rates) > maxRates {
		return nil, fmt.Errorf("%w: the file has no day", ErrUnavailable)
	}
	day, err := time.Parse(time.DateOnly, file.Days[0].Time)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var all []billing.ExchangeRate
	for _, x := range file.Days[0].Rates {
		r := billing.ExchangeRate{From: "EUR", Into: x.Currency, Value: x.Rate, Day: day, Source: billing.ECB}
		if _, err := billing.Digits(r.Into); err != nil || r.Into == "EUR" {
			continue
		}
		if _, err := r.Check(); err == nil {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the file has no rates", ErrUnavailable)
	}
	return all, nil
}
