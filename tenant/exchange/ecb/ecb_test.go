package ecb

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// published is as the bank's file of a day looks.
const published = `<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
	<gesmes:subject>Reference rates</gesmes:subject>
	<gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>
	<Cube><Cube time='2026-11-20'>
		<Cube currency='USD' rate='1.0834'/><Cube currency='SEK' rate='11.2345'/><Cube currency='ZZZ' rate='1'/><Cube currency='JPY' rate='-3'/>
	</Cube></Cube>
</gesmes:Envelope>`

func TestADaysRatesAreRead(t *testing.T) {
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(published))
	}))
	t.Cleanup(srv.Close)
	c := Client{URL: srv.URL, HTTP: srv.Client()}
	got, err := c.Latest(t.Context())
	if err != nil || len(got) != 2 || got[1].Into != "SEK" || got[1].Value != "11.2345" || got[1].Day.Format("2006-01-02") != "2026-11-20" {
		t.Errorf("%+v, %v", got, err)
	}
	status = http.StatusServiceUnavailable
	if _, err := c.Latest(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an outage: %v", err)
	}
}

func FuzzFiles(f *testing.F) {
	for _, s := range []string{published, "", "<Cube/>", "<a><Cube><Cube time='x'><Cube currency='USD' rate='1'/></Cube></Cube></a>", "{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rates, err := Parse(b)
		if (err == nil) != (len(rates) > 0) {
			t.Fatalf("%d rates, %v", len(rates), err)
		}
		for _, r := range rates {
			if v, err := r.Check(); err != nil || v.Sign() <= 0 || r.Day.IsZero() && r.Day.Year() != 1 {
				t.Fatalf("%+v", r)
			}
		}
	})
}
