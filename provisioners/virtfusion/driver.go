// Package virtfusion delivers virtual servers through VirtFusion's global (administrator)
// API, version 1. It owns the translation between that API and the contract in
// provisioners, and keeps nothing.
//
// VirtFusion has no idempotency key and its servers carry no id of ours, but its users
// do. So each service gets a VirtFusion user of its own, found by our key: whatever
// server that user has is the service, whoever created it and however the answer was lost.
// Customers never see those users; see docs/provisioning.md.
package virtfusion

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/provisioners"
)

// Settings are what differs from one VirtFusion to another. Zero values mean the usual.
type Settings struct {
	// MailDomain is below which the users' addresses are made up; usual: services.invalid.
	// VirtFusion is never asked to write to them.
	MailDomain string `json:"mail_domain,omitempty"`
	// DeleteDelay is how many minutes VirtFusion waits before it really deletes.
	DeleteDelay int `json:"delete_delay_minutes,omitempty"`
	// NoIPv6 leaves IPv6 out of new installations.
	NoIPv6 bool `json:"no_ipv6,omitempty"`
	// Swap of new installations, in VirtFusion's words: 256, 512, 768 MB; 1 to 8 GB; 0: none.
	Swap float64 `json:"swap,omitempty"`
	// NoLiveState does not ask the hypervisor whether a server runs.
	NoLiveState bool `json:"no_live_state,omitempty"`
	// FullWords are parts of the refusals that mean that no hypervisor has room; usual:
	// see defaultFullWords.
	FullWords []string `json:"full_words,omitempty"`
}

// Config makes a driver.
type Config struct {
	BaseURL  string // https://cp.example.com; /api/v1 is added when it is missing
	Token    string
	Settings json.RawMessage // Settings as JSON; empty: the usual
	Client   *http.Client
}

// Driver is one VirtFusion. It is safe for concurrent use.
type Driver struct {
	api api
	set Settings
}

// Everything the contract has that VirtFusion can do.
var (
	_ provisioners.Driver           = (*Driver)(nil)
	_ provisioners.Suspender        = (*Driver)(nil)
	_ provisioners.Powerer          = (*Driver)(nil)
	_ provisioners.Rebuilder        = (*Driver)(nil)
	_ provisioners.Renamer          = (*Driver)(nil)
	_ provisioners.PasswordResetter = (*Driver)(nil)
	_ provisioners.Resizer          = (*Driver)(nil)
	_ provisioners.Metered          = (*Driver)(nil)
	_ provisioners.Checker          = (*Driver)(nil)
	_ provisioners.Capacity         = (*Driver)(nil)
	_ provisioners.Lister           = (*Driver)(nil)
	_ provisioners.Imager           = (*Driver)(nil)
	_ provisioners.Chooser          = (*Driver)(nil)
)

// New makes the driver. It connects to nothing; its error is about the configuration.
func New(c Config) (*Driver, error) {
	var set Settings
	if len(c.Settings) > 0 {
		if err := json.Unmarshal(c.Settings, &set); err != nil {
			return nil, fmt.Errorf("virtfusion: settings: %w", err)
		}
	}
	if set.MailDomain == "" {
		set.MailDomain = "services.invalid"
	}
	if set.DeleteDelay < 0 || set.DeleteDelay > 43800 {
		return nil, errors.New("virtfusion: delete_delay_minutes must be from 0 to 43800")
	}
	if len(set.FullWords) == 0 {
		set.FullWords = defaultFullWords()
	}
	u, err := url.Parse(strings.TrimRight(c.BaseURL, "/"))
	if err != nil || u.Host == "" {
		return nil, errors.New("virtfusion: the address is no URL")
	}
	if c.Token == "" {
		return nil, errors.New("virtfusion: there is no token")
	}
	base := u.String()
	if !strings.HasSuffix(base, "/api/v1") {
		base += "/api/v1"
	}
	client := c.Client
	if client == nil {
		client = &http.Client{Timeout: 20 * time.Second}
	}
	return &Driver{api: api{base: base, token: c.Token, client: client, full: set.FullWords}, set: set}, nil
}

// State looks.
func (d *Driver) State(ctx context.Context, ref provisioners.Ref) (provisioners.State, error) {
	s, err := d.server(ctx, ref, false)
	if errors.Is(err, provisioners.ErrGone) {
		return provisioners.State{Status: provisioners.StatusGone}, nil
	}
	if err != nil {
		return provisioners.State{}, err
	}
	st := s.state()
	if st.Status == provisioners.StatusActive && !d.set.NoLiveState {
		st.Power = d.power(ctx, ref)
	}
	return st, nil
}

// liveTimeout bounds the question to the hypervisor, which VirtFusion passes on and which
// may take as long as a hypervisor that is down.
const liveTimeout = 5 * time.Second

// power asks the hypervisor; whatever goes wrong, the rest of the state still holds.
func (d *Driver) power(ctx context.Context, ref provisioners.Ref) provisioners.Power {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	s, err := d.server(ctx, ref, true)
	if err != nil {
		return provisioners.PowerUnknown
	}
	return s.Remote.power()
}

// server reads a server; ErrGone when it is not there or is about to be deleted.
func (d *Driver) server(ctx context.Context, ref provisioners.Ref, live bool) (server, error) {
	path, err := serverPath(ref)
	if err != nil {
		return server{}, err
	}
	if live {
		path += "?remoteState=true"
	}
	var got envelope[server]
	if err := d.api.call(ctx, http.MethodGet, path, nil, &got); err != nil {
		return server{}, err
	}
	if got.Data.ID == 0 {
		return server{}, unreadable(errors.New("the answer holds no server"))
	}
	if got.Data.DeleteLevel > 0 {
		return server{}, fmt.Errorf("virtfusion: server %s is being deleted: %w", ref, provisioners.ErrGone)
	}
	return got.Data, nil
}

// serverPath is where a server is. A ref that is no number was never one of ours.
func serverPath(ref provisioners.Ref) (string, error) {
	n, err := strconv.ParseInt(string(ref), 10, 64)
	if err != nil || n <= 0 {
		return "", fmt.Errorf("virtfusion: %q is no server's id: %w", string(ref), provisioners.ErrGone)
	}
	return "/servers/" + strconv.FormatInt(n, 10), nil
}

func refOf(id int64) provisioners.Ref { return provisioners.Ref(strconv.FormatInt(id, 10)) }

// Destroy removes the server; its user, which has nothing any more, stays.
func (d *Driver) Destroy(ctx context.Context, ref provisioners.Ref) error {
	err := d.act(ctx, ref, http.MethodDelete, "?delay="+strconv.Itoa(d.set.DeleteDelay), nil, nil)
	if errors.Is(err, provisioners.ErrGone) {
		return nil
	}
	return err
}

// act calls something below a server's path.
func (d *Driver) act(ctx context.Context, ref provisioners.Ref, method, below string, in, out any) error {
	path, err := serverPath(ref)
	if err != nil {
		return err
	}
	return d.api.call(ctx, method, path+below, in, out)
}

// Suspend stops the server and locks its owner out.
func (d *Driver) Suspend(ctx context.Context, ref provisioners.Ref) error {
	return d.act(ctx, ref, http.MethodPost, "/suspend", nil, nil)
}

// Release undoes Suspend.
func (d *Driver) Release(ctx context.Context, ref provisioners.Ref) error {
	return d.act(ctx, ref, http.MethodPost, "/unsuspend", nil, nil)
}

// Power starts and stops. It answers as soon as VirtFusion has queued it.
func (d *Driver) Power(ctx context.Context, ref provisioners.Ref, action provisioners.PowerAction) error {
	word, ok := map[provisioners.PowerAction]string{provisioners.Start: "boot", provisioners.Stop: "shutdown",
		provisioners.Restart: "restart", provisioners.ForceOff: "poweroff"}[action]
	if !ok {
		return fmt.Errorf("virtfusion: power %q: %w", action, provisioners.ErrUnsupported)
	}
	return d.act(ctx, ref, http.MethodPost, "/power/"+word, nil, nil)
}

// Rename changes the name and keeps the mark of the last installation behind it.
func (d *Driver) Rename(ctx context.Context, ref provisioners.Ref, name string) error {
	s, err := d.server(ctx, ref, false)
	if err != nil {
		return err
	}
	_, mark := unmark(s.Name)
	return d.act(ctx, ref, http.MethodPut, "/modify/name", map[string]any{"name": marked(name, mark)}, nil)
}

// ResetPassword sets a new password of the administrator, who is root, and on Windows
// Administrator: VirtFusion refuses the wrong one.
func (d *Driver) ResetPassword(ctx context.Context, ref provisioners.Ref) (provisioners.Credentials, error) {
	var err error
	for _, user := range []string{"root", "Administrator"} {
		var got envelope[struct {
			Password string `json:"expectedPassword"`
		}]
		err = d.act(ctx, ref, http.MethodPost, "/resetPassword", map[string]any{"user": user, "sendMail": false}, &got)
		if err == nil && got.Data.Password == "" {
			return provisioners.Credentials{}, unreadable(errors.New("the answer holds no password"))
		}
		if err == nil {
			return provisioners.Credentials{User: user, Password: got.Data.Password}, nil
		}
		if !errors.Is(err, provisioners.ErrRefused) {
			break
		}
	}
	return provisioners.Credentials{}, err
}

// Resize gives the server another package, and where none is named single resources. What
// is on the disk stays; the disk never shrinks.
func (d *Driver) Resize(ctx context.Context, ref provisioners.Ref, to provisioners.Spec, parameters map[string]any) error {
	if p, _ := number(parameters, paramPackage); p > 0 {
		apply := map[string]bool{}
		for _, what := range []string{"cpu", "memory", "primaryDiskSize", "primaryNetworkTraffic", "primaryNetworkInboundSpeed", "primaryNetworkOutboundSpeed",
			"primaryDiskReadIOPS", "primaryDiskWriteIOPS", "primaryDiskReadThroughput", "primaryDiskWriteThroughput", "backupPlan"} {
			apply[what] = true
		}
		if err := d.act(ctx, ref, http.MethodPut, "/package/"+strconv.FormatInt(p, 10), apply, nil); err != nil {
			return err
		}
	}
	if to.MemoryMB > 0 {
		if err := d.act(ctx, ref, http.MethodPut, "/modify/memory", map[string]any{"memory": to.MemoryMB}, nil); err != nil {
			return err
		}
	}
	if to.CPU > 0 {
		return d.act(ctx, ref, http.MethodPut, "/modify/cpuCores", map[string]any{"cores": to.CPU}, nil)
	}
	return nil
}

// markOf is a short name of an operation's key. It stands behind the server's name, so
// that an installation whose answer was lost is recognised and not begun again.
func markOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:4])
}

// maxName is how long a server's name may be; VirtFusion's limit is not documented.
const maxName = 100

// marked is a name with a mark behind it.
func marked(name, mark string) string {
	name = strings.TrimSpace(name)
	if r := []rune(name); len(r) > maxName {
		name = string(r[:maxName])
	}
	if mark == "" {
		return name
	}
	return strings.TrimSpace(name + " #" + mark)
}

// unmark takes a name and its mark apart.
func unmark(s string) (name, mark string) {
	i := strings.LastIndex(s, "#")
	if i < 0 || len(s)-i-1 != 8 {
		return s, ""
	}
	if _, err := hex.DecodeString(s[i+1:]); err != nil {
		return s, ""
	}
	return strings.TrimSpace(s[:i]), s[i+1:]
}
