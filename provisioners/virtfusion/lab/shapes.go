package lab

import (
	"net/http"
	"time"
)

// stamp is a time as VirtFusion writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05+00:00") }

// stage is where a server is on its way.
func (l *Lab) stage(s *Server) (state string, commission int) {
	now := l.now()
	switch {
	case s.Template == 0:
		return "allocated", 0
	case s.Failed:
		return "failed", 2
	case !now.Before(s.ReadyAt):
		return "complete", 3
	case now.Sub(s.BuildAt) < s.ReadyAt.Sub(s.BuildAt)/4:
		return "queued", 1
	default:
		return "queued", 2
	}
}

// deleteLevel is 1 during the grace before a server is really deleted.
func deleteLevel(s *Server) int {
	if s.DeleteAt.IsZero() {
		return 0
	}
	return 1
}

// full is the whole object.
func (l *Lab) full(s *Server) map[string]any {
	state, commission := l.stage(s)
	o := map[string]any{
		"id": s.ID, "ownerId": s.UserID, "hypervisorId": s.Hypervisor, "arch": 1, "name": s.Name, "hostname": orNull(s.Hostname), "commissionStatus": commission,
		"uuid": s.UUID, "state": state, "deleteLevel": deleteLevel(s), "destroyable": true, "rebuild": false, "suspended": s.Suspended, "protected": false,
		"buildFailed": s.Failed, "built": nil, "created": stamp(s.CreatedAt), "updated": stamp(s.CreatedAt),
		"settings": map[string]any{"osTemplateInstall": true, "osTemplateInstallId": s.Template, "encryptedPassword": "eyJpdiI6", "backupPlan": nil,
			"resources": map[string]any{"memory": s.MemoryMB, "storage": s.DiskGB, "traffic": s.TrafficGB, "cpuCores": s.Cores}},
		"cpu":     map[string]any{"cores": s.Cores},
		"vnc":     map[string]any{"ip": "198.18.0.1", "port": 5900 + s.ID%1000, "enabled": false},
		"network": map[string]any{"interfaces": []any{l.nic(s)}, "secondaryInterfaces": []any{}},
		"tasks":   map[string]any{"active": l.busy(s), "lastOn": nil, "actions": map[string]any{"pending": []any{}}},
		"owner":   nil,
	}
	if u, ok := l.Users[s.UserID]; ok {
		o["owner"] = l.user(u)
	}
	if state == "complete" {
		o["built"] = stamp(s.ReadyAt)
	}
	return o
}

func (l *Lab) running(s *Server) string {
	if state, _ := l.stage(s); s.Stopped || state != "complete" {
		return "shut off"
	}
	return "running"
}

func (l *Lab) nic(s *Server) map[string]any {
	v4 := []any{}
	for i, a := range s.IPv4 {
		v4 = append(v4, map[string]any{"id": s.ID*10 + int64(i), "order": i + 1, "enabled": true, "blockId": s.GroupID, "address": a, "gateway": "198.18.0.1",
			"netmask": "255.254.0.0", "resolver1": "198.18.0.1", "resolver2": "198.18.0.1", "rdns": nil, "mac": nil})
	}
	return map[string]any{"id": s.ID, "order": 1, "enabled": true, "name": "eth0", "type": "public", "mac": "00:00:5E:00:53:01", "ipv4": v4, "ipv6": []any{}}
}

// brief is a server in the list of a user's.
func (l *Lab) brief(s *Server) map[string]any {
	state, commission := l.stage(s)
	return map[string]any{"id": s.ID, "ownerId": s.UserID, "hypervisorId": s.Hypervisor, "name": s.Name, "hostname": orNull(s.Hostname), "commissionStatus": commission,
		"uuid": s.UUID, "state": state, "rebuild": false, "suspended": s.Suspended, "protected": false, "buildFailed": s.Failed, "backup_level": 0, "backup_plan": nil,
		"resources": map[string]any{"memory": s.MemoryMB, "storage": s.DiskGB, "traffic": s.TrafficGB, "cpuCores": s.Cores, "cpu_model": nil},
		"network":   map[string]any{"interfaces": []any{l.briefNIC(s)}}}
}

func (l *Lab) briefNIC(s *Server) map[string]any {
	v4 := []any{}
	for i, a := range s.IPv4 {
		v4 = append(v4, map[string]any{"order": i + 1, "enabled": true, "address": a, "gateway": "198.18.0.1", "netmask": "255.254.0.0"})
	}
	return map[string]any{"order": 1, "enabled": true, "name": "eth0", "mac": "00:00:5E:00:53:01", "ipv4": v4, "ipv6": []any{}}
}

// simple is a server in the list of all.
func (l *Lab) simple(s *Server) map[string]any {
	_, commission := l.stage(s)
	return map[string]any{"id": s.ID, "uuid": s.UUID, "name": s.Name, "commissioned": commission, "owner": s.UserID, "hypervisorId": s.Hypervisor,
		"suspended": s.Suspended, "protected": false, "updated": stamp(s.CreatedAt), "created": stamp(s.CreatedAt)}
}

func (l *Lab) user(u *User) map[string]any {
	ext := any(nil)
	if u.RelInt != 0 {
		ext = u.RelInt
	}
	return map[string]any{"id": u.ID, "admin": false, "extRelationId": ext, "name": u.Name, "email": u.Email, "timezone": "Europe/London",
		"suspended": false, "twoFactorAuth": false, "created": stamp(l.now()), "updated": stamp(l.now())}
}

func (l *Lab) listPackages(call) answer {
	rows := make([]any, len(l.Packages))
	for i, p := range l.Packages {
		rows[i] = l.pack(p)
	}
	return data(http.StatusOK, rows)
}

func (l *Lab) showPackage(c call) answer {
	p, ok := l.packageOf(c.id("id"))
	if !ok {
		return msg(http.StatusNotFound, "package not found")
	}
	return data(http.StatusOK, l.pack(p))
}

func (l *Lab) pack(p Package) map[string]any {
	return map[string]any{"id": p.ID, "name": p.Name, "description": nil, "enabled": true, "memory": p.MemoryMB, "primaryStorage": p.DiskGB, "traffic": p.TrafficGB,
		"cpuCores": p.Cores, "primaryNetworkSpeedIn": 0, "primaryNetworkSpeedOut": 0, "backupPlanId": 0, "primaryStorageProfile": 1, "primaryNetworkProfile": 0}
}

func (l *Lab) listGroups(c call) answer {
	rows := make([]any, len(l.Groups))
	for i, g := range l.Groups {
		rows[i] = map[string]any{"id": g.ID, "name": g.Name, "label": nil, "description": nil, "distributionType": 5, "enabled": true, "default": i == 0,
			"created": "2024-03-12T22:21:32+00:00", "updated": "2024-04-12T20:56:04+00:00"}
	}
	return l.paged(c, rows)
}

func (l *Lab) groupResources(c call) answer {
	for _, g := range l.Groups {
		if g.ID != c.id("id") {
			continue
		}
		taken := 0
		for _, s := range l.world.Servers {
			if s.GroupID == g.ID {
				taken += len(s.IPv4)
			}
		}
		rows := make([]any, len(g.Hypervisors))
		for i, h := range g.Hypervisors {
			u := l.used(h.ID)
			rows[i] = map[string]any{
				"hypervisor": map[string]any{"id": h.ID, "name": h.Name, "enabled": true, "prohibit": h.Prohibit, "accept": false, "commissioned": true},
				"resources": map[string]any{
					"servers": amount("#", 0, int(u.ID)), "memory": amount("MB", h.MemoryMB, u.MemoryMB), "cpuCores": amount("#", h.Cores, u.Cores),
					"localStorage": local(h.DiskGB, u.DiskGB), "otherStorage": []any{},
					"network": map[string]any{"total": map[string]any{"ipv4": map[string]any{"free": g.IPv4 - taken}}},
				},
			}
		}
		return l.paged(c, rows)
	}
	return msg(http.StatusNotFound, "hypervisor group not found")
}

func amount(units string, most, allocated int) map[string]any {
	percent := any(nil)
	if most > 0 {
		percent = float64(allocated*1000/most) / 10
	}
	return map[string]any{"units": units, "max": most, "allocated": allocated, "free": most - allocated, "percent": percent}
}

func local(most, allocated int) map[string]any {
	m := amount("GB", most, allocated)
	m["enabled"], m["name"], m["storageType"] = 1, "Local (Default mountpoint)", 0
	return m
}

func (l *Lab) listTemplates(c call) answer {
	if _, ok := l.packageOf(c.id("id")); !ok {
		return msg(http.StatusNotFound, "package not found")
	}
	var rows []map[string]any
	for _, t := range l.Templates {
		if n := len(rows); n == 0 || rows[n-1]["name"] != t.Category {
			rows = append(rows, map[string]any{"name": t.Category, "description": t.Category, "icon": "linux_logo.png", "templates": []any{}})
		}
		kind := "linux"
		if t.Windows {
			kind = "windows"
		}
		cat := rows[len(rows)-1]
		cat["templates"] = append(cat["templates"].([]any), map[string]any{"id": t.ID, "name": t.Name, "version": t.Version, "variant": t.Variant, "arch": 1,
			"description": t.Name, "icon": "linux_logo.png", "eol": t.EOL, "eol_date": "2028-01-01 00:00:00", "eol_warning": false, "deploy_type": 1, "vnc": t.Windows, "type": kind})
	}
	return data(http.StatusOK, rows)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
