package lab

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// busy reports whether a task runs on the server; other tasks are refused meanwhile.
func (l *Lab) busy(s *Server) bool {
	now := l.now()
	return s.Builds > 0 && now.Before(s.ReadyAt) && !s.Failed || now.Before(s.BusyUntil)
}

var locked = msg(http.StatusLocked, "server is locked by another task")

// task puts something into the queue.
func (l *Lab) task(s *Server, action string) int64 {
	t := &Task{ID: l.id(), ServerID: s.ID, Action: action, Begun: l.now(), Ended: l.now().Add(l.o.TaskDelay)}
	l.Tasks[t.ID] = t
	s.BusyUntil = t.Ended
	if len(l.Tasks) > 1000 { // the queue forgets
		for id := range l.Tasks {
			if id < t.ID-500 {
				delete(l.Tasks, id)
			}
		}
	}
	return t.ID
}

func (l *Lab) buildServer(c call, s *Server) answer {
	if l.busy(s) {
		return locked
	}
	if s.Suspended {
		return wrong(http.StatusConflict, "The server is suspended")
	}
	os := c.int64("operatingSystemId")
	if !slices.ContainsFunc(l.Templates, func(t Template) bool { return t.ID == os }) {
		return wrong(http.StatusUnprocessableEntity, "Invalid operating system")
	}
	for _, k := range c.ids("sshKeys") {
		if key, ok := l.Keys[k]; !ok || key.UserID != s.UserID {
			return wrong(http.StatusUnprocessableEntity, "Invalid SSH key")
		}
	}
	s.Template, s.SSHKeys, s.Password, s.Failed, s.Stopped = os, c.ids("sshKeys"), rand.Text()[:20], false, false
	if c.has("name") {
		s.Name = c.text("name")
	}
	if c.has("hostname") {
		s.Hostname = c.text("hostname")
	}
	s.Builds++
	s.BuildAt, s.ReadyAt = l.now(), l.now().Add(l.o.InstallDelay)
	o := l.full(s)
	// The file's sample stands for the moment of the call, whatever the delay.
	o["state"], o["commissionStatus"] = "queued", 1
	o["settings"].(map[string]any)["decryptedPassword"] = s.Password
	return data(http.StatusOK, o)
}

func (l *Lab) deleteServer(c call, s *Server) answer {
	if l.busy(s) {
		return locked
	}
	wait := l.o.DeleteDelay
	if d := c.query("delay"); d != "" {
		n, err := strconv.Atoi(d)
		if err != nil || n < 0 || n > 43800 {
			return wrong(http.StatusUnprocessableEntity, "The delay must be between 0 and 43800.")
		}
		wait = time.Duration(n) * time.Minute
	}
	if s.DeleteAt.IsZero() {
		s.DeleteAt = l.now().Add(wait)
	}
	l.tidy()
	return nothing(http.StatusNoContent)
}

func (l *Lab) suspend(_ call, s *Server) answer {
	if l.busy(s) {
		return locked
	}
	s.Suspended, s.Stopped = true, true
	return nothing(http.StatusNoContent)
}

func (l *Lab) unsuspend(_ call, s *Server) answer {
	if l.busy(s) {
		return locked
	}
	if s.Suspended {
		s.Suspended, s.Stopped = false, false
	}
	return nothing(http.StatusNoContent)
}

func (l *Lab) power(c call, s *Server) answer {
	action := c.r.PathValue("action")
	if !slices.Contains([]string{"boot", "shutdown", "restart", "poweroff"}, action) {
		return nothing(http.StatusNotFound)
	}
	if l.busy(s) {
		return locked
	}
	if s.Suspended || s.Template == 0 {
		return wrong(http.StatusConflict, "The server is suspended or not built")
	}
	s.Stopped = action == "shutdown" || action == "poweroff"
	return data(http.StatusOK, map[string]any{"queueId": l.task(s, "power_"+action)})
}

func (l *Lab) rename(c call, s *Server) answer {
	name := strings.TrimSpace(c.text("name"))
	if name == "" || len(name) > 255 {
		return wrong(http.StatusUnprocessableEntity, "The name field is required.")
	}
	s.Name = name
	return nothing(http.StatusCreated)
}

func (l *Lab) setMemory(c call, s *Server) answer {
	if n := int(c.int64("memory")); n >= 256 {
		s.MemoryMB = n
		return nothing(http.StatusCreated)
	}
	return wrong(http.StatusUnprocessableEntity, "The memory must be at least 256.")
}

func (l *Lab) setCores(c call, s *Server) answer {
	if n := int(c.int64("cores")); n >= 1 {
		s.Cores = n
		return nothing(http.StatusCreated)
	}
	return wrong(http.StatusUnprocessableEntity, "The cores must be at least 1.")
}

func (l *Lab) setPackage(c call, s *Server) answer {
	if l.busy(s) {
		return locked
	}
	p, ok := l.packageOf(c.id("package"))
	if !ok {
		return msg(http.StatusNotFound, "package not found")
	}
	var info []string
	for _, x := range []struct {
		flag, label string
		into        *int
		to          int
		shrinks     bool
	}{{"cpu", "CPU cores", &s.Cores, p.Cores, true}, {"memory", "memory", &s.MemoryMB, p.MemoryMB, true},
		{"primaryDiskSize", "primary disk", &s.DiskGB, p.DiskGB, false}, {"primaryNetworkTraffic", "traffic", &s.TrafficGB, p.TrafficGB, true}} {
		switch {
		case string(c.body[x.flag]) != "true":
		case *x.into == x.to:
			info = append(info, x.label+" not updated. It matches the current value")
		case *x.into > x.to && !x.shrinks:
			info = append(info, x.label+" not updated. It either matches or is lower than the current value")
		default:
			*x.into = x.to
		}
	}
	s.PackageID = p.ID
	return answer{code: http.StatusOK, body: map[string]any{"info": info}}
}

func (l *Lab) resetPassword(c call, s *Server) answer {
	if l.busy(s) {
		return locked
	}
	want := "root"
	if i := slices.IndexFunc(l.Templates, func(t Template) bool { return t.ID == s.Template }); i >= 0 && l.Templates[i].Windows {
		want = "Administrator"
	}
	if c.text("user") != want {
		return wrong(http.StatusUnprocessableEntity, "Invalid user")
	}
	s.Password = rand.Text()[:20]
	return data(http.StatusOK, map[string]any{"queueId": l.task(s, "reset_password"), "expectedPassword": s.Password})
}

// traffic grows with the time since the period began, so that charts have something to show.
func (l *Lab) traffic(_ call, s *Server) answer {
	first := s.CreatedAt.Truncate(24 * time.Hour)
	var months []any // the newest first
	for n := 0; !first.AddDate(0, n, 0).After(l.now()); n++ {
		from, to := first.AddDate(0, n, 0), first.AddDate(0, n+1, 0)
		until := l.now()
		if to.Before(until) {
			until = to
		}
		used := int64(until.Sub(from).Seconds()) * (50_000 + s.ID%7*9_000)
		months = append([]any{map[string]any{
			"month": n + 1, "start": from.Format(time.DateTime), "end": to.Add(-time.Second).Format(time.DateTime),
			"rx": used * 3 / 4, "tx": used - used*3/4, "total": used, "limit": s.TrafficGB, "blocks": []any{},
		}}, months...)
	}
	return data(http.StatusOK, map[string]any{"monthly": months})
}

func (l *Lab) showTask(c call) answer {
	t, ok := l.Tasks[c.id("id")]
	if !ok {
		return msg(http.StatusNotFound, "queue item not found")
	}
	o := map[string]any{"id": t.ID, "serverId": t.ServerID, "action": t.Action, "started": stamp(t.Begun), "updated": stamp(t.Begun),
		"finished": nil, "failed": false, "progress": 50, "errors": map[string]any{"exception": map[string]any{"message": nil}}}
	if !l.now().Before(t.Ended) {
		o["finished"], o["updated"], o["progress"] = stamp(t.Ended), stamp(t.Ended), 100
	}
	return data(http.StatusOK, o)
}

func (l *Lab) createUser(c call) answer {
	u := User{Name: strings.TrimSpace(c.text("name")), Email: c.text("email"), RelInt: c.int64("extRelationId"), RelStr: c.text("relStr")}
	if u.Name == "" || !strings.Contains(u.Email, "@") {
		return answer{code: http.StatusUnprocessableEntity, body: map[string]any{"message": "The given data was invalid.",
			"errors": map[string][]string{"email": {"The name and a valid email address are required."}}}}
	}
	for _, o := range l.Users {
		if strings.EqualFold(o.Email, u.Email) || u.RelStr != "" && o.RelStr == u.RelStr || u.RelInt != 0 && o.RelInt == u.RelInt {
			return wrong(http.StatusUnprocessableEntity, "The email or relation has already been taken.")
		}
	}
	u.ID = l.id()
	l.Users[u.ID] = &u
	o := l.user(&u)
	o["password"] = rand.Text()
	return data(http.StatusCreated, o)
}

func (l *Lab) findUser(c call) answer {
	ext := c.r.PathValue("ext")
	for _, u := range l.Users {
		if c.query("relStr") == "true" && u.RelStr == ext || c.query("relStr") != "true" && u.RelInt != 0 && fmt.Sprint(u.RelInt) == ext {
			return data(http.StatusOK, l.user(u))
		}
	}
	return msg(http.StatusNotFound, "ext relation id not found")
}

func (l *Lab) createKey(c call) answer {
	k := Key{UserID: c.int64("userId"), Name: c.text("name"), PublicKey: strings.TrimSpace(c.text("publicKey"))}
	if _, ok := l.Users[k.UserID]; !ok || k.Name == "" || !strings.HasPrefix(k.PublicKey, "ssh-") && !strings.HasPrefix(k.PublicKey, "ecdsa-") {
		return wrong(http.StatusUnprocessableEntity, "Invalid SSH key")
	}
	k.ID = l.id()
	l.Keys[k.ID] = &k
	return data(http.StatusCreated, map[string]any{"id": k.ID, "name": k.Name, "type": "OpenSSH", "createdAt": stamp(l.now())})
}

func (l *Lab) keysOfUser(c call) answer {
	rows := []any{}
	for _, k := range l.Keys {
		if k.UserID == c.id("id") {
			rows = append(rows, map[string]any{"id": k.ID, "name": k.Name, "publicKey": k.PublicKey, "type": "OpenSSH", "enabled": true})
		}
	}
	return data(http.StatusOK, rows)
}
