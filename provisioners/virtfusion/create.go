package virtfusion

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ezscale/ezscale/provisioners"
)

// The parameters of an offer.
const (
	paramPackage = "packageId"
	paramGroup   = "hypervisorGroupId"
)

// passedOn are parameters of an offer that are sent as they are when a server is created.
func passedOn() []string {
	return []string{"ipv4", "networkSpeedInbound", "networkSpeedOutbound", "storageProfile", "networkProfile", "firewallRulesets", "hypervisorAssetGroups",
		"additionalStorage1Enable", "additionalStorage2Enable", "additionalStorage1Profile", "additionalStorage2Profile",
		"additionalStorage1Capacity", "additionalStorage2Capacity"}
}

// Create reserves a server and has it installed. Asked again it finds the user of the
// key, what that user has, and goes on from there.
func (d *Driver) Create(ctx context.Context, req provisioners.CreateRequest) (provisioners.Created, error) {
	body, err := createBody(req)
	if err != nil {
		return provisioners.Created{}, err
	}
	image, err := imageID(req.Image)
	if err != nil {
		return provisioners.Created{}, err
	}
	user, err := d.user(ctx, req)
	if err != nil {
		return provisioners.Created{}, err
	}
	s, err := d.found(ctx, user)
	if err != nil {
		return provisioners.Created{}, err
	}
	if s.ID == 0 {
		body["userId"] = user
		var made envelope[server]
		if err := d.api.call(ctx, http.MethodPost, "/servers", body, &made); err != nil {
			return provisioners.Created{}, err
		}
		if s = made.Data; s.ID == 0 {
			return provisioners.Created{}, unreadable(errors.New("the answer holds no server"))
		}
	}
	out := provisioners.Created{Ref: refOf(s.ID), Addresses: s.addresses()}
	if req.Known != nil {
		if err := req.Known(ctx, out.Ref); err != nil {
			return out, fmt.Errorf("virtfusion: server %d: %w", s.ID, err)
		}
	}
	if s.built() {
		return out, nil
	}
	out.Credentials, err = d.build(ctx, out.Ref, user, install{key: req.Key, image: image, name: req.Name, hostname: req.Hostname, keys: req.SSHKeys})
	return out, err
}

// createBody is the request but for the user.
func createBody(req provisioners.CreateRequest) (map[string]any, error) {
	body := map[string]any{}
	for name, field := range map[string]string{paramPackage: "packageId", paramGroup: "hypervisorId"} { // the API calls the group's id so
		n, ok := number(req.Parameters, name)
		if !ok || n <= 0 {
			return nil, fmt.Errorf("virtfusion: the offer names no %s: %w", name, provisioners.ErrRefused)
		}
		body[field] = n
	}
	for _, name := range passedOn() {
		if v, ok := req.Parameters[name]; ok {
			body[name] = v
		}
	}
	// What was sold wins over what the package has.
	for field, n := range map[string]int{"cpuCores": req.Spec.CPU, "memory": req.Spec.MemoryMB, "storage": req.Spec.DiskGB, "traffic": req.Spec.TrafficGB, "ipv4": req.Spec.IPv4} {
		if n > 0 {
			body[field] = n
		}
	}
	return body, nil
}

// number reads a parameter that came through JSON.
func number(parameters map[string]any, name string) (int64, bool) {
	switch v := parameters[name].(type) {
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	case int:
		return int64(v), true
	case int64:
		return v, true
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	}
	return 0, false
}

func imageID(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("virtfusion: %q is no operating system's id: %w", s, provisioners.ErrRefused)
	}
	return n, nil
}

// relation is our key as it stands in a user and in the path that finds it: letters,
// digits, dots and hyphens only, since servers decode other characters in paths
// differently, and short enough for the front of an address.
func relation(key string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r == '/':
			return '.'
		}
		return -1
	}, strings.ToLower(key))
	if len(clean) <= 60 && strings.ReplaceAll(clean, ".", "/") == key {
		return clean
	}
	sum := sha256.Sum256([]byte(key))
	return "x." + hex.EncodeToString(sum[:16])
}

// keyIn is the key that an address was made of; empty: it is not ours, or was too long.
func (d *Driver) keyIn(email string) string {
	rel, domain, ok := strings.Cut(email, "@")
	if !ok || domain != d.set.MailDomain || strings.HasPrefix(rel, "x.") {
		return ""
	}
	return strings.ReplaceAll(rel, ".", "/")
}

// user finds or makes the VirtFusion user of a service.
func (d *Driver) user(ctx context.Context, req provisioners.CreateRequest) (int64, error) {
	rel := relation(req.Key)
	id, err := d.findUser(ctx, rel)
	if id != 0 || err != nil {
		return id, err
	}
	name := strings.TrimSpace(req.Owner.Name)
	if name == "" {
		name = "Customer"
	}
	var made envelope[struct {
		ID int64 `json:"id"`
	}]
	err = d.api.call(ctx, http.MethodPost, "/users", map[string]any{
		"name": name, "email": rel + "@" + d.set.MailDomain, "relStr": rel, "selfService": 0, "sendMail": false,
	}, &made)
	if errors.Is(err, provisioners.ErrRefused) {
		// Somebody was faster, or an earlier attempt whose answer was lost.
		if id, again := d.findUser(ctx, rel); id != 0 || again != nil {
			return id, again
		}
	}
	if err == nil && made.Data.ID == 0 {
		err = unreadable(errors.New("the answer holds no user"))
	}
	return made.Data.ID, err
}

// findUser is 0 when there is none.
func (d *Driver) findUser(ctx context.Context, rel string) (int64, error) {
	var got envelope[struct {
		ID int64 `json:"id"`
	}]
	err := d.api.call(ctx, http.MethodGet, "/users/"+url.PathEscape(rel)+"/byExtRelation?relStr=true", nil, &got)
	if isAnswer(err, http.StatusNotFound) {
		return 0, nil // also without words: at a wrong address making one fails as well
	}
	return got.Data.ID, err
}

// found is the server the user has; its id is 0 when there is none. Two can be there only
// when two attempts ran at once: the first stays, and what was never installed of the
// others goes.
func (d *Driver) found(ctx context.Context, user int64) (server, error) {
	var got envelope[[]server]
	if err := d.api.call(ctx, http.MethodGet, "/servers/user/"+strconv.FormatInt(user, 10), nil, &got); err != nil {
		if errors.Is(err, errNotFound) {
			return server{}, nil
		}
		return server{}, err
	}
	all := slices.DeleteFunc(got.Data, func(s server) bool { return s.DeleteLevel > 0 })
	if len(all) == 0 {
		return server{}, nil
	}
	slices.SortFunc(all, func(a, b server) int {
		if a.built() != b.built() {
			if a.built() {
				return -1
			}
			return 1
		}
		return int(a.ID - b.ID)
	})
	for _, extra := range all[1:] {
		if extra.built() {
			continue // somebody's data may be on it: reconciliation shows it
		}
		if err := d.Destroy(ctx, refOf(extra.ID)); err != nil {
			return server{}, err
		}
	}
	return all[0], nil
}

// install is what a build is asked with.
type install struct {
	key, name, hostname string
	image               int64
	keys                []string
}

// build installs. The password is told here and never again.
func (d *Driver) build(ctx context.Context, ref provisioners.Ref, user int64, in install) (provisioners.Credentials, error) {
	body := map[string]any{
		"operatingSystemId": in.image, "name": marked(in.name, markOf(in.key)), "vnc": false, "ipv6": !d.set.NoIPv6, "email": false,
	}
	if in.hostname != "" {
		body["hostname"] = in.hostname
	}
	if d.set.Swap > 0 {
		body["swap"] = d.set.Swap
	}
	if len(in.keys) > 0 {
		ids, err := d.sshKeys(ctx, user, in.keys)
		if err != nil {
			return provisioners.Credentials{}, err
		}
		body["sshKeys"] = ids
	}
	var got envelope[server]
	if err := d.act(ctx, ref, http.MethodPost, "/build", body, &got); err != nil {
		return provisioners.Credentials{}, err
	}
	if got.Data.Settings.Password == "" {
		return provisioners.Credentials{}, nil // a later reset gives one
	}
	return provisioners.Credentials{User: "root", Password: got.Data.Settings.Password}, nil
}

// sshKeys are the ids of the user's keys, made where they are missing.
func (d *Driver) sshKeys(ctx context.Context, user int64, keys []string) ([]int64, error) {
	var have envelope[[]struct {
		ID        int64  `json:"id"`
		PublicKey string `json:"publicKey"`
	}]
	err := d.api.call(ctx, http.MethodGet, "/ssh_keys/user/"+strconv.FormatInt(user, 10), nil, &have)
	if err != nil && !errors.Is(err, errNotFound) {
		return nil, err
	}
	ids := make([]int64, 0, len(keys))
next:
	for i, k := range keys {
		k = strings.TrimSpace(k)
		for _, h := range have.Data {
			if strings.TrimSpace(h.PublicKey) == k {
				ids = append(ids, h.ID)
				continue next
			}
		}
		var made envelope[struct {
			ID int64 `json:"id"`
		}]
		err := d.api.call(ctx, http.MethodPost, "/ssh_keys", map[string]any{"userId": user, "name": "Key " + strconv.Itoa(i+1), "publicKey": k}, &made)
		if err != nil {
			return nil, err
		}
		ids = append(ids, made.Data.ID)
	}
	return ids, nil
}

// Rebuild installs anew, once a key: the mark behind the server's name tells which
// installation was the last.
func (d *Driver) Rebuild(ctx context.Context, ref provisioners.Ref, r provisioners.RebuildRequest) (provisioners.Credentials, error) {
	image, err := imageID(r.Image)
	if err != nil {
		return provisioners.Credentials{}, err
	}
	s, err := d.server(ctx, ref, false)
	if err != nil {
		return provisioners.Credentials{}, err
	}
	name, mark := unmark(s.Name)
	if mark == markOf(r.Key) && s.built() {
		return provisioners.Credentials{}, nil
	}
	if s.Tasks.Active {
		return provisioners.Credentials{}, &provisioners.RetryError{After: afterLocked, Err: provisioners.ErrLocked}
	}
	if r.Name != "" {
		name = r.Name
	}
	return d.build(ctx, ref, s.Owner.ID, install{key: r.Key, image: image, name: name, hostname: r.Hostname, keys: r.SSHKeys})
}
