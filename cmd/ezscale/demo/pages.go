package demo

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
)

//go:embed pages/*.html
var pageFiles embed.FS

// policy is what browsers let the demo's pages do.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Pages are the demo's own: what there is, and the name server's zone.
type Pages struct {
	lab   *Lab
	guide Guide
	set   map[string]*template.Template
	now   func() time.Time
}

// page is what the layout shows.
type page struct {
	Title, Lead, Mail string
	View              any
}

// NewPages parses the pages; funcs are the themes'.
func NewPages(lab *Lab, g Guide, funcs template.FuncMap, now func() time.Time) (*Pages, error) {
	p := &Pages{lab: lab, guide: g, set: map[string]*template.Template{}, now: now}
	for _, name := range []string{"index", "dns"} {
		t, err := template.New("").Funcs(funcs).ParseFS(pageFiles, "pages/layout.html", "pages/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("demo page %s: %w", name, err)
		}
		p.set[name] = t
	}
	return p, nil
}

// Handler serves the pages. Forms of other sites are refused.
func (p *Pages) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.index)
	mux.HandleFunc("GET /dns", func(w http.ResponseWriter, r *http.Request) { p.dns(w, http.StatusOK, dnsView{Type: "TXT"}) })
	mux.HandleFunc("POST /dns", p.setRecord)
	mux.HandleFunc("POST /dns/delete", p.deleteRecord)
	mux.HandleFunc("GET /root.pem", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = w.Write(p.lab.ACME.RootPEM())
	})
	mux.HandleFunc("GET /logins.json", func(w http.ResponseWriter, r *http.Request) { p.guide.write(w, p.now()) })
	guard := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "same-origin")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		}
		guard.Handler(mux).ServeHTTP(w, r)
	})
}

func (p *Pages) render(w http.ResponseWriter, status int, name, title, lead string, view any) {
	var out bytes.Buffer
	if err := p.set[name].ExecuteTemplate(&out, "layout", page{title, lead, p.guide.Mail, view}); err != nil {
		http.Error(w, "the page cannot be rendered: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

func (p *Pages) index(w http.ResponseWriter, _ *http.Request) {
	g := p.guide.at(p.now())
	p.render(w, http.StatusOK, "index", "Demo", "Everything runs on this machine and stops with the program.", g)
}

// dnsView is the DNS page: the zone, and what was typed when it could not be taken.
type dnsView struct {
	Name, Type, Value string
	Problem           string
	Types             []string
	Records           []acmelab.Record
	Server            string
	Port              int
}

func (p *Pages) dns(w http.ResponseWriter, status int, v dnsView) {
	v.Types = []string{"TXT", "CNAME", "A", "AAAA", "CAA", "NS"}
	v.Records, v.Server, v.Port = p.lab.ACME.Zone().List(), p.lab.ACME.DNS(), p.lab.options.DNS.Number
	p.render(w, status, "dns", "DNS", "The zone the demo's certificate authority and domain checks see.", v)
}

func (p *Pages) setRecord(w http.ResponseWriter, r *http.Request) {
	rec := acmelab.Record{Name: r.FormValue("name"), Type: r.FormValue("type"), Value: r.FormValue("value")}
	if err := p.lab.ACME.Zone().Add(rec); err != nil {
		p.dns(w, http.StatusUnprocessableEntity, dnsView{Name: rec.Name, Type: rec.Type, Value: rec.Value, Problem: err.Error()})
		return
	}
	http.Redirect(w, r, "/dns", http.StatusSeeOther)
}

func (p *Pages) deleteRecord(w http.ResponseWriter, r *http.Request) {
	if err := p.lab.ACME.Zone().Delete(r.FormValue("name"), r.FormValue("type"), r.FormValue("value")); err != nil {
		p.dns(w, http.StatusInternalServerError, dnsView{Type: "TXT", Problem: err.Error()})
		return
	}
	http.Redirect(w, r, "/dns", http.StatusSeeOther)
}
