package mailtrap

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
)

// policy lets the pages show a mail and do nothing else: a mail's own styles, in a
// frame that runs nothing.
const (
	listPolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	mailPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)

var pages = template.Must(template.New("").Parse(`{{define "head"}}<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex"><title>{{.}}</title><style>
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{width:100%;border-collapse:collapse}td,th{text-align:left;padding:.5rem .75rem .5rem 0;border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent);vertical-align:top}
iframe{width:100%;height:44rem;border:1px solid color-mix(in srgb,currentColor 18%,transparent);border-radius:8px;background:#fff}
pre{white-space:pre-wrap;overflow-wrap:anywhere}.muted{opacity:.75}form{display:inline}button{font:inherit;padding:.3rem .8rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}dd{margin:0;overflow-wrap:anywhere}
</style></head><body>{{end}}
{{define "list"}}{{template "head" "Mail trap"}}<main><h1>Mail trap</h1>
<p class="muted">Mails of this demo end here. Nothing is delivered.</p>
{{if .Fault}}<p role="status"><strong>Fault switched on: {{.Fault}}.</strong></p>{{end}}
{{if .Mails}}<table><thead><tr><th scope="col">Subject</th><th scope="col">To</th><th scope="col">From</th><th scope="col">At</th></tr></thead><tbody>
{{range .Mails}}<tr><td><a href="/mails/{{.ID}}">{{if .Subject}}{{.Subject}}{{else}}(no subject){{end}}</a></td><td>{{range .To}}{{.}} {{end}}</td><td>{{.From}}</td><td>{{.At.Format "15:04:05"}}</td></tr>
{{end}}</tbody></table>{{else}}<p>No mail yet. Ask for a new password on any sign-in page, and it will be here.</p>{{end}}
</main></body></html>{{end}}
{{define "mail"}}{{template "head" .Subject}}<main><p><a href="/">All mails</a></p><h1>{{.Subject}}</h1>
<dl><dt>From</dt><dd>{{.From}}</dd><dt>To</dt><dd>{{range .To}}{{.}} {{end}}</dd>{{if .ReplyTo}}<dt>Replies to</dt><dd>{{.ReplyTo}}</dd>{{end}}<dt>Message id</dt><dd>{{.MessageID}}</dd></dl>
{{if .HTML}}<h2>As HTML</h2><iframe src="/mails/{{.ID}}/html" title="The mail as HTML"></iframe>{{end}}
<h2>As plain text</h2><pre>{{.Text}}</pre><details><summary>Source</summary><pre>{{.Raw}}</pre></details></main></body></html>{{end}}`))

// ServeHTTP serves the pages and, below /api/mails, JSON: GET lists (?to=address),
// DELETE forgets. PUT /api/fault switches the fault named in the body.
func (t *Trap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", listPolicy)
	path := strings.TrimPrefix(r.URL.Path, "/")
	id, isHTML := strings.CutSuffix(strings.TrimPrefix(path, "mails/"), "/html")
	switch {
	case r.Method == http.MethodGet && path == "":
		page(w, "list", struct {
			Mails []Mail
			Fault Fault
		}{t.Mails(""), t.Fault()})
	case r.Method == http.MethodGet && path == "api/mails":
		h.Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(t.Mails(r.URL.Query().Get("to")))
	case r.Method == http.MethodDelete && path == "api/mails":
		t.Clear()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut && path == "api/fault":
		t.putFault(w, r)
	case r.Method == http.MethodGet && strings.HasPrefix(path, "mails/"):
		t.show(w, r, id, isHTML)
	default:
		http.NotFound(w, r)
	}
}

func (t *Trap) show(w http.ResponseWriter, r *http.Request, id string, isHTML bool) {
	m, ok := t.Get(id)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if !isHTML {
		page(w, "mail", m)
		return
	}
	w.Header().Set("Content-Security-Policy", mailPolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(m.HTML))
}

func (t *Trap) putFault(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Fault Fault `json:"fault"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&body)
	switch body.Fault {
	case None, Refuse, Temporary, Hang, Down:
	default:
		http.Error(w, "no such fault", http.StatusBadRequest)
		return
	}
	if err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	t.SetFault(body.Fault)
	w.WriteHeader(http.StatusNoContent)
}

func page(w http.ResponseWriter, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pages.ExecuteTemplate(w, name, data)
}
