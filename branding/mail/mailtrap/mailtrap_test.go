package mailtrap

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strconv"
	"strings"
	"testing"
)

func trap(t *testing.T, o Options) *Trap {
	t.Helper()
	tr, err := Listen("127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

func send(t *testing.T, tr *Trap, to, subject string) {
	t.Helper()
	body := "From: A <a@example.com>\r\nTo: <" + to + ">\r\nSubject: " + subject + "\r\nContent-Type: text/html\r\n\r\n<p>hello</p><script>x</script>\r\n"
	if err := smtp.SendMail(tr.Addr(), nil, "a@example.com", []string{to}, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, h http.Handler, method, path, body string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w.Result()
}

func TestTheLastMailsAreKeptAndListed(t *testing.T) {
	tr := trap(t, Options{Keep: 2})
	for n := range 3 {
		send(t, tr, "z"+strconv.Itoa(n)+"@example.com", "=?utf-8?q?N=C2=BA_"+strconv.Itoa(n)+"?=")
	}
	var got []Mail
	if err := json.NewDecoder(get(t, tr, "GET", "/api/mails", "").Body).Decode(&got); err != nil || len(got) != 2 || got[0].Subject != "Nº 2" || got[0].HTML == "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if one := tr.Mails("Z1@example.com"); len(one) != 1 || one[0].Subject != "Nº 1" {
		t.Errorf("of one recipient: %+v", one)
	}
	page, _ := io.ReadAll(get(t, tr, "GET", "/", "").Body)
	if !strings.Contains(string(page), "/mails/"+got[0].ID) {
		t.Errorf("page %s", page)
	}
	html := get(t, tr, "GET", "/mails/"+got[0].ID+"/html", "")
	if csp := html.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %q", csp)
	}
	for _, path := range []string{"/mails/1", "/mails/x/html", "/nothing"} {
		if s := get(t, tr, "GET", path, "").StatusCode; s != 404 {
			t.Errorf("%s answers %d", path, s)
		}
	}
	get(t, tr, "DELETE", "/api/mails", "")
	if len(tr.Mails("")) != 0 {
		t.Error("not forgotten")
	}
}

func TestFaultsAreSwitched(t *testing.T) {
	tr := trap(t, Options{})
	if s := get(t, tr, "PUT", "/api/fault", `{"fault":"refuse"}`).StatusCode; s != 204 || tr.Fault() != Refuse {
		t.Errorf("answers %d, fault %q", s, tr.Fault())
	}
	if err := smtp.SendMail(tr.Addr(), nil, "a@example.com", []string{"b@example.com"}, []byte("x")); err == nil || !strings.HasPrefix(err.Error(), "550") {
		t.Errorf("got %v", err)
	}
	if s := get(t, tr, "PUT", "/api/fault", `{"fault":"earthquake"}`).StatusCode; s != 400 || tr.Fault() != Refuse {
		t.Errorf("answers %d, fault %q", s, tr.Fault())
	}
}
