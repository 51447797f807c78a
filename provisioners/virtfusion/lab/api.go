package lab

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// call is one request of the API with the lab locked.
type call struct {
	r    *http.Request
	body map[string]json.RawMessage
}

// answer is what a call says; a nil body is an empty one.
type answer struct {
	code  int
	body  any
	after string
}

func data(code int, v any) answer      { return answer{code: code, body: map[string]any{"data": v}} }
func msg(code int, text string) answer { return answer{code: code, body: map[string]any{"msg": text}} }
func wrong(code int, text ...string) answer {
	return answer{code: code, body: map[string]any{"errors": text}}
}
func nothing(code int) answer                { return answer{code: code} }
func (c call) int64(name string) (n int64)   { _ = json.Unmarshal(c.body[name], &n); return n }
func (c call) text(name string) (s string)   { _ = json.Unmarshal(c.body[name], &s); return s }
func (c call) has(name string) bool          { _, ok := c.body[name]; return ok }
func (c call) ids(name string) (all []int64) { _ = json.Unmarshal(c.body[name], &all); return all }
func (c call) query(name string) string      { return c.r.URL.Query().Get(name) }

func (c call) id(name string) int64 {
	n, _ := strconv.ParseInt(c.r.PathValue(name), 10, 64)
	return n
}

// routes are the endpoints the lab has, on one screen.
func (l *Lab) routes() {
	at := func(pattern, permission string, h func(call) answer) {
		method, path, _ := strings.Cut(pattern, " ")
		l.mux.HandleFunc(method+" /api/v1"+path, l.guarded(permission, h))
	}
	on := func(pattern string, h func(call, *Server) answer) {
		at(pattern, PermServers, func(c call) answer {
			s, ok := l.world.Servers[c.id("id")]
			if !ok {
				return msg(http.StatusNotFound, "server not found")
			}
			return h(c, s)
		})
	}
	at("GET /connect", "", func(call) answer { return answer{code: http.StatusOK, body: []any{}} })
	at("POST /servers", PermServers, l.createServer)
	at("GET /servers", PermServers, l.listServers)
	// A mux of its own: to ServeMux it clashes with what is below a server's id.
	l.ofUser.HandleFunc("GET /api/v1/servers/user/{id}", l.guarded(PermServers, l.serversOfUser))
	on("GET /servers/{id}", l.showServer)
	on("DELETE /servers/{id}", l.deleteServer)
	on("POST /servers/{id}/build", l.buildServer)
	on("POST /servers/{id}/suspend", l.suspend)
	on("POST /servers/{id}/unsuspend", l.unsuspend)
	on("POST /servers/{id}/power/{action}", l.power)
	on("PUT /servers/{id}/modify/name", l.rename)
	on("PUT /servers/{id}/modify/memory", l.setMemory)
	on("PUT /servers/{id}/modify/cpuCores", l.setCores)
	on("PUT /servers/{id}/package/{package}", l.setPackage)
	on("POST /servers/{id}/resetPassword", l.resetPassword)
	on("GET /servers/{id}/traffic", l.traffic)
	at("GET /queue/{id}", PermServers, l.showTask)
	at("GET /packages", PermPackages, l.listPackages)
	at("GET /packages/{id}", PermPackages, l.showPackage)
	at("GET /compute/hypervisors/groups", PermGroups, l.listGroups)
	at("GET /compute/hypervisors/groups/{id}/resources", PermGroups, l.groupResources)
	at("GET /media/templates/fromServerPackageSpec/{id}", PermMedia, l.listTemplates)
	at("POST /users", PermUsers, l.createUser)
	at("GET /users/{ext}/byExtRelation", PermUsers, l.findUser)
	at("POST /ssh_keys", PermKeys, l.createKey)
	at("GET /ssh_keys/user/{id}", PermKeys, l.keysOfUser)
	// What is not here answers as a wrong address does: 404 without a word.
	l.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
}

// serve leads a call of the API to its endpoint.
func (l *Lab) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/v1/servers/user/") {
		l.ofUser.ServeHTTP(w, r)
		return
	}
	l.mux.ServeHTTP(w, r)
}

// guarded checks the token, its rate and its permission, and locks the lab.
func (l *Lab) guarded(permission string, h func(call) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := read(w, r)
		if err != nil {
			say(w, http.StatusUnprocessableEntity, map[string]any{"message": "The given data was invalid.", "errors": map[string][]string{"body": {err.Error()}}})
			return
		}
		l.mu.Lock()
		a := l.admit(r, permission)
		if a.code == 0 {
			l.tidy()
			if a = h(c); r.Method != http.MethodGet {
				l.save()
			}
		}
		l.mu.Unlock()
		if a.after != "" {
			w.Header().Set("Retry-After", a.after)
		}
		if a.body == nil {
			w.WriteHeader(a.code)
			return
		}
		say(w, a.code, a.body)
	}
}

// admit is a refusal, or an answer without a code.
func (l *Lab) admit(r *http.Request, permission string) answer {
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t, ok := l.tokens[value]
	if !ok {
		return nothing(http.StatusUnauthorized)
	}
	if now := l.o.Clock(); l.o.PerMinute > 0 {
		if now.Sub(t.window) >= time.Minute {
			t.window, t.used = now, 0
		}
		if t.used++; t.used > l.o.PerMinute {
			wait := int(time.Minute.Seconds() - now.Sub(t.window).Seconds() + 1)
			return answer{code: http.StatusTooManyRequests, body: map[string]any{"message": "Too Many Attempts."}, after: strconv.Itoa(wait)}
		}
	}
	if permission != "" && len(t.permissions) > 0 && !slices.Contains(t.permissions, permission) {
		return msg(http.StatusForbidden, "insufficient permissions")
	}
	return answer{}
}

func read(w http.ResponseWriter, r *http.Request) (call, error) {
	c := call{r: r, body: map[string]json.RawMessage{}}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil || len(b) == 0 {
		return c, err
	}
	if err := json.Unmarshal(b, &c.body); err != nil {
		return c, errors.New("the body is no JSON object")
	}
	return c, nil
}

func (l *Lab) createServer(c call) answer {
	var missing []string
	for _, f := range []string{"packageId", "userId", "hypervisorId"} {
		if c.int64(f) <= 0 {
			missing = append(missing, "The "+f+" field is required.")
		}
	}
	if len(missing) > 0 {
		return wrong(http.StatusUnprocessableEntity, missing...)
	}
	p, ok := l.packageOf(c.int64("packageId"))
	if !ok {
		return wrong(http.StatusUnprocessableEntity, "Invalid or disabled package")
	}
	if _, ok := l.Users[c.int64("userId")]; !ok {
		return wrong(http.StatusUnprocessableEntity, "Invalid user")
	}
	s := Server{UserID: c.int64("userId"), PackageID: p.ID, MemoryMB: p.MemoryMB, Cores: p.Cores, DiskGB: p.DiskGB, TrafficGB: p.TrafficGB, CreatedAt: l.now(), Stopped: true}
	for name, into := range map[string]*int{"memory": &s.MemoryMB, "cpuCores": &s.Cores, "storage": &s.DiskGB, "traffic": &s.TrafficGB} {
		if c.has(name) {
			*into = int(c.int64(name))
		}
	}
	n := 1
	if c.has("ipv4") {
		n = int(c.int64("ipv4"))
	}
	if s.MemoryMB < 256 || s.Cores < 1 || s.DiskGB < 1 || s.TrafficGB < 0 || n < 0 || n > 64 {
		return wrong(http.StatusUnprocessableEntity, "A resource is out of its range")
	}
	if a := l.place(&s, c.int64("hypervisorId"), n); a.code != 0 {
		return a
	}
	if c.query("dryRun") == "true" {
		return data(http.StatusCreated, l.full(&s))
	}
	s.ID = l.id()
	s.UUID = l.uuid()
	l.world.Servers[s.ID] = &s
	return data(http.StatusCreated, l.full(&s))
}

// place finds a hypervisor of the group and the addresses.
func (l *Lab) place(s *Server, group int64, addresses int) answer {
	for _, g := range l.Groups {
		if g.ID != group {
			continue
		}
		s.GroupID = g.ID
		for _, h := range g.Hypervisors {
			used := l.used(h.ID)
			if h.Prohibit || used.MemoryMB+s.MemoryMB > h.MemoryMB || used.Cores+s.Cores > h.Cores || used.DiskGB+s.DiskGB > h.DiskGB {
				continue
			}
			s.Hypervisor = h.ID
			if s.IPv4 = l.addresses(g, addresses); len(s.IPv4) < addresses {
				return wrong(http.StatusUnprocessableEntity, "Not enough IPv4 addresses available")
			}
			return answer{}
		}
		return wrong(http.StatusUnprocessableEntity, "No suitable hypervisor was found in the group")
	}
	return wrong(http.StatusUnprocessableEntity, "Invalid or disabled hypervisor group")
}

// used is what a hypervisor's servers have together.
func (l *Lab) used(hypervisor int64) (u Server) {
	for _, s := range l.world.Servers {
		if s.Hypervisor == hypervisor {
			u.MemoryMB, u.Cores, u.DiskGB, u.ID = u.MemoryMB+s.MemoryMB, u.Cores+s.Cores, u.DiskGB+s.DiskGB, u.ID+1
		}
	}
	return u
}

func (l *Lab) packageOf(id int64) (Package, bool) {
	i := slices.IndexFunc(l.Packages, func(p Package) bool { return p.ID == id })
	if i < 0 {
		return Package{}, false
	}
	return l.Packages[i], true
}

func (l *Lab) listServers(c call) answer {
	all := make([]*Server, 0, len(l.world.Servers))
	for _, s := range l.world.Servers {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Server) int { return int(a.ID - b.ID) })
	rows := make([]any, len(all))
	for i, s := range all {
		if c.query("type") == "full" {
			rows[i] = l.full(s)
		} else {
			rows[i] = l.simple(s)
		}
	}
	return l.paged(c, rows)
}

func (l *Lab) serversOfUser(c call) answer {
	if _, ok := l.Users[c.id("id")]; !ok {
		return msg(http.StatusNotFound, "user not found")
	}
	rows := []any{}
	for _, s := range l.world.Servers {
		if s.UserID == c.id("id") {
			rows = append(rows, l.brief(s))
		}
	}
	return data(http.StatusOK, rows)
}

func (l *Lab) showServer(c call, s *Server) answer {
	o := l.full(s)
	o["remoteState"] = false
	if c.query("remoteState") == "true" {
		o["remoteState"] = map[string]any{"state": l.running(s)}
	}
	return data(http.StatusOK, o)
}

// paged is Laravel's paginator.
func (l *Lab) paged(c call, rows []any) answer {
	per, page := 20, 1
	if n, err := strconv.Atoi(c.query("results")); err == nil {
		per = min(max(n, 1), 200)
	}
	if n, err := strconv.Atoi(c.query("page")); err == nil {
		page = max(n, 1)
	}
	last := max((len(rows)+per-1)/per, 1)
	from, to := min((page-1)*per, len(rows)), min(page*per, len(rows))
	path := "http://" + c.r.Host + c.r.URL.Path
	link := func(n int) any {
		if n < 1 || n > last {
			return nil
		}
		return path + "?results=" + strconv.Itoa(per) + "&page=" + strconv.Itoa(n)
	}
	count := func(n int) any {
		if from == to {
			return nil
		}
		return n
	}
	return answer{code: http.StatusOK, body: map[string]any{
		"current_page": page, "data": rows[from:to], "first_page_url": link(1), "from": count(from + 1), "last_page": last, "last_page_url": link(last),
		"links": []any{}, "next_page_url": link(page + 1), "path": path, "per_page": per, "prev_page_url": link(page - 1), "to": count(to), "total": len(rows),
	}}
}
