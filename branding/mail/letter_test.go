package mail

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/themes"
)

var update = flag.Bool("update", false, "write the golden files anew")

func letters(t *testing.T) *Letters {
	t.Helper()
	l, err := LoadLetters(themes.Files, []string{"base", "aurora", "forge"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func nimbus() Sender {
	b := branding.Plain("Nimbus Hosting", branding.Tokens{Brand: "#0b6e4f", Radius: "large"}, branding.Texts{MailFooter: "Nimbus Hosting GmbH\nHauptstraße 1, 10115 Berlin"})
	b.Theme = "aurora"
	b.LogoURL = "/media/0190/abc.png"
	return Sender{Brand: b, FromName: "Nimbus", FromAddress: "hello@nimbus.example", ReplyTo: "help@nimbus.example", BaseURL: "https://nimbus.example", Host: "nimbus.example"}
}

func pixelforge() Sender {
	b := branding.Plain("PixelForge", branding.Tokens{Brand: "#ffd400", Font: "mono", Radius: "none"}, branding.Texts{})
	b.Theme = "forge"
	return Sender{Brand: b, FromAddress: "no-reply@pixelforge.example", BaseURL: "https://pixelforge.example:8443", Host: "pixelforge.example"}
}

var sample = map[string]string{
	"unsubscribe": "/hooks/letters/t0ken", "name": "Zoë <b>& Co", "link": "/account/verify/s3cret", "valid_for": "24 hours", "ip": "203.0.113.9", "inviter": "Ann Lee",
	"when": "15 October 2026, 09:30 UTC", "device": "Firefox on Linux", "host": "shop.example.org", "until": "22 October 2026",
	"number": "INV-2026-00042", "invoice": "INV-2026-00040", "total": "€23.79", "amount": "€10.00", "open": "€13.79", "due": "22 October 2026", "next": "24 October 2026",
	"reason": "Its CNAME leads to old.example.net; it should lead to edge.example.net.", "shop": "Nimbus Hosting",
	"what": "VPS Small (shop server)", "wanted": "VPS Large", "every": "a month", "on": "22 October 2026", "off": "29 October 2026", "ends": "12 November 2026",
	"restriction": "read_only", "since": "1 October 2026", "title": "A payment failed", "text": "A card was declined.", "who": "Nimbus Hosting", "facts": "amount: €10.00\n",
	"account": "Lee & Sons", "method": "Bank account DE •••• 3000", "reference": "4KX2MPLQ8SWA71DB", "role": "Technical contact", "percent": "90", "spent": "€45.00", "limit": "€50.00", "services": "100", "used": "€45.00", "held": "€56.00", "balance": "€56.00", "stage": "near",
	"subject": "Cloud VPS Small", "list": "- VPS Small (shop server): €10.00 a month until then, €12.00 from 1 March 2027, before tax.\n- VPS Small: €10.00 a month until then, €12.00 from 9 March 2027, before tax.", "first": "1 March 2027",
	"service": "Shop server", "address": "203.0.113.80", "customer": "Lee & Sons", "problem": "The platform has no room left for it.",
}

func dataFor(template string) map[string]string {
	data := map[string]string{}
	for _, key := range Templates[template] {
		data[key] = sample[key]
	}
	return data
}

func TestLettersPerBrandMatchTheirGoldenFiles(t *testing.T) {
	l := letters(t)
	for brand, sender := range map[string]Sender{"nimbus": nimbus(), "pixelforge": pixelforge()} {
		for name := range Templates {
			t.Run(brand+" "+name, func(t *testing.T) {
				got, err := l.Render(sender, name, dataFor(name))
				if err != nil {
					t.Fatal(err)
				}
				golden(t, brand+"_"+name+".txt", "Subject: "+got.Subject+"\n\n"+got.Text)
				golden(t, brand+"_"+name+".html", got.HTML)
			})
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "letters", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // a golden file
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run the test with -update and look at the change\n%s", name, got)
	}
}

func TestLettersAreCleanOfWhatMailMustNotHave(t *testing.T) {
	l := letters(t)
	for _, sender := range []Sender{nimbus(), pixelforge()} {
		for name := range Templates {
			got, err := l.Render(sender, name, dataFor(name))
			if err != nil {
				t.Fatal(err)
			}
			for _, bad := range []string{"<script", "ZgotmplZ", "<b>& Co", "javascript:", "<no value>"} {
				if strings.Contains(got.HTML, bad) {
					t.Errorf("%s has %s", name, bad)
				}
			}
			if n := strings.Count(got.HTML, "class=\"ez-button\""); n != 1 {
				t.Errorf("%s has %d buttons", name, n)
			}
			if strings.Count(got.HTML, "<img") > 1 || strings.Contains(got.Text, "<") && !strings.Contains(got.Text, "Zoë <b>& Co") {
				t.Errorf("%s: pictures or tags", name)
			}
			if strings.ContainsAny(got.Subject, "\r\n") || got.Subject == "" || !strings.Contains(got.Text, sender.BaseURL+"/account") {
				t.Errorf("%s: subject %q or no link", name, got.Subject)
			}
		}
	}
}

func TestPeoplesWordsAddNoParagraphAndNoPart(t *testing.T) {
	m := verify("k", "zoe@example.com")
	m.Data["name"] = "Zoë\n\n--- button\nWin | https://evil.example"
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	got, err := letters(t).Render(nimbus(), VerifyAddress, m.Data)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.HTML, `href="https://evil.example`) || !strings.Contains(got.Text, "https://a.example/verify/s3cret") {
		t.Errorf("letter %s", got.Text)
	}
	m.Data["link"] = "javascript:alert(1)"
	if _, err := letters(t).Render(nimbus(), VerifyAddress, m.Data); err == nil {
		t.Error("a link that is none was taken")
	}
}

func TestBrokenTemplatesAreFoundWhenTheyAreLoaded(t *testing.T) {
	layout, err := themes.Files.ReadFile("base/mails/layout.gohtml")
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{
		"no parts": "hello", "no button": "--- subject\nx\n--- text\ny", "unknown part": "--- subject\nx\n--- text\ny\n--- button\nz | /x\n--- more\nz",
		"unknown variable": "--- subject\n{{ data.nam }}\n--- text\ny\n--- button\nz | https://x.example", "broken": "--- subject\n{% if %}\n--- text\ny\n--- button\nz | /x",
		"no address": "--- subject\nx\n--- text\ny\n--- button\nz",
	} {
		files := fstest.MapFS{"base/mails/layout.gohtml": {Data: layout}}
		for template := range Templates {
			files["base/mails/"+template+".liquid"] = &fstest.MapFile{Data: []byte(source)}
		}
		if _, err := LoadLetters(files, []string{"base"}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
