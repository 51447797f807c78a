package virtfusion

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/provisioners"
)

// Check tests the address and the token, and says which permissions are missing.
func (d *Driver) Check(ctx context.Context) (provisioners.Health, error) {
	if err := d.api.call(ctx, http.MethodGet, "/connect", nil, nil); err != nil {
		return provisioners.Health{}, err
	}
	h := provisioners.Health{Version: "API v1"}
	for _, need := range []struct{ path, without string }{
		{"/packages", "The token may not read packages: SKUs cannot be mapped from a list."},
		{"/compute/hypervisors/groups?results=1", "The token may not read hypervisor groups: capacity is unknown."},
		{"/servers?results=1", "The token may not list servers: reconciliation is not possible."},
	} {
		switch err := d.api.call(ctx, http.MethodGet, need.path, nil, nil); {
		case isForbidden(err):
			h.Notes = append(h.Notes, need.without)
		case err != nil:
			return provisioners.Health{}, err
		}
	}
	return h, nil
}

// group and pack are what the lists tell of groups and packages.
type (
	group struct {
		ID      int64  `json:"id"`
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
	}
	pack struct {
		ID      int64  `json:"id"`
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
		Memory  int    `json:"memory"`
		Storage int    `json:"primaryStorage"`
		Cores   int    `json:"cpuCores"`
		Traffic int    `json:"traffic"`
	}
)

// Choices lists the packages and the hypervisor groups that are enabled.
func (d *Driver) Choices(ctx context.Context) ([]provisioners.Parameter, error) {
	packages := provisioners.Parameter{Name: paramPackage, Label: "Package", Needed: true, Help: "CPU, memory, disk and traffic of the SKU win over the package's."}
	groups := provisioners.Parameter{Name: paramGroup, Label: "Hypervisor group", Needed: true}
	var got envelope[[]pack]
	if err := d.api.call(ctx, http.MethodGet, "/packages", nil, &got); err != nil && !isForbidden(err) {
		return nil, err
	}
	for _, p := range got.Data {
		if p.Enabled {
			packages.Options = append(packages.Options, provisioners.Option{Value: p.ID,
				Label: fmt.Sprintf("%s (%d cores, %d MB, %d GB)", p.Name, p.Cores, p.Memory, p.Storage)})
		}
	}
	err := pages(ctx, &d.api, "/compute/hypervisors/groups", func(g group) bool {
		if g.Enabled {
			groups.Options = append(groups.Options, provisioners.Option{Value: g.ID, Label: g.Name})
		}
		return true
	})
	if err != nil && !isForbidden(err) {
		return nil, err
	}
	return []provisioners.Parameter{packages, groups}, nil
}

// resource is how much of something a hypervisor has; max 0 means that it is not limited.
type resource struct {
	Max       int `json:"max"`
	Allocated int `json:"allocated"`
	Free      int `json:"free"`
}

// machine is one hypervisor of a group. The IPv4 pool is the group's, told on each row.
type machine struct {
	Hypervisor struct {
		Enabled      bool `json:"enabled"`
		Prohibit     bool `json:"prohibit"`
		Commissioned bool `json:"commissioned"`
	} `json:"hypervisor"`
	Resources struct {
		Servers      resource `json:"servers"`
		Memory       resource `json:"memory"`
		Cores        resource `json:"cpuCores"`
		LocalStorage struct {
			Enabled int `json:"enabled"`
			resource
		} `json:"localStorage"`
		Network struct {
			Total struct {
				IPv4 struct {
					Free int `json:"free"`
				} `json:"ipv4"`
			} `json:"total"`
		} `json:"network"`
	} `json:"resources"`
}

// Capacity works out how many more pieces the group's hypervisors take, each by what it is
// shortest of, and the group by its addresses. Without permission nothing is known.
func (d *Driver) Capacity(ctx context.Context, parameters map[string]any, spec provisioners.Spec) (provisioners.Room, error) {
	unknown := provisioners.Room{Free: -1, Total: -1}
	g, ok := number(parameters, paramGroup)
	if !ok {
		return unknown, fmt.Errorf("virtfusion: the offer names no %s: %w", paramGroup, provisioners.ErrRefused)
	}
	spec, err := d.filled(ctx, parameters, spec)
	if isForbidden(err) {
		return unknown, nil
	}
	if err != nil {
		return unknown, err
	}
	room, addresses := provisioners.Room{}, -1
	err = pages(ctx, &d.api, "/compute/hypervisors/groups/"+strconv.FormatInt(g, 10)+"/resources", func(m machine) bool {
		if !m.Hypervisor.Enabled || m.Hypervisor.Prohibit || !m.Hypervisor.Commissioned {
			return true
		}
		free, total := m.pieces(spec)
		room.Free, room.Total = room.Free+free, room.Total+total
		addresses = max(addresses, m.Resources.Network.Total.IPv4.Free)
		return true
	})
	if isForbidden(err) {
		return unknown, nil
	}
	if err != nil {
		return unknown, err
	}
	if n := max(spec.IPv4, 1); addresses >= 0 && addresses/n < room.Free {
		room.Total -= room.Free - addresses/n
		room.Free = addresses / n
	}
	return room, nil
}

// pieces is how many of spec a hypervisor takes yet, and would take were it empty.
func (m machine) pieces(spec provisioners.Spec) (free, total int) {
	const plenty = 1 << 20
	free, total = plenty, plenty
	limit := func(r resource, each int) {
		if r.Max > 0 && each > 0 {
			free, total = min(free, max(r.Max-r.Allocated, 0)/each), min(total, r.Max/each)
		}
	}
	limit(m.Resources.Servers, 1)
	limit(m.Resources.Memory, spec.MemoryMB)
	limit(m.Resources.Cores, spec.CPU)
	if m.Resources.LocalStorage.Enabled != 0 {
		limit(m.Resources.LocalStorage.resource, spec.DiskGB)
	}
	if total == plenty {
		return 0, 0 // nothing is known of it
	}
	return free, total
}

// filled takes from the package what the SKU leaves open.
func (d *Driver) filled(ctx context.Context, parameters map[string]any, spec provisioners.Spec) (provisioners.Spec, error) {
	p, ok := number(parameters, paramPackage)
	if !ok || spec.CPU > 0 && spec.MemoryMB > 0 && spec.DiskGB > 0 {
		return spec, nil
	}
	var got envelope[pack]
	if err := d.api.call(ctx, http.MethodGet, "/packages/"+strconv.FormatInt(p, 10), nil, &got); err != nil {
		return spec, err
	}
	for _, x := range []struct {
		into *int
		from int
	}{{&spec.CPU, got.Data.Cores}, {&spec.MemoryMB, got.Data.Memory}, {&spec.DiskGB, got.Data.Storage}} {
		if *x.into == 0 {
			*x.into = x.from
		}
	}
	return spec, nil
}

// List names every server. Where the list tells the owner's address, our key is read
// from it.
func (d *Driver) List(ctx context.Context, fn func(provisioners.Listed) bool) error {
	return pages(ctx, &d.api, "/servers?type=full", func(r row) bool {
		name, _ := unmark(r.Name)
		return fn(provisioners.Listed{Ref: refOf(r.ID), Key: d.keyIn(r.email()), Name: name, Suspended: r.Suspended, Created: r.Created})
	})
}

// template is an operating system.
type template struct {
	ID      int64   `json:"id"`
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Variant *string `json:"variant"`
	EOL     bool    `json:"eol"`
}

// Images lists what can be installed with the offer's package; what has reached the end
// of its life is left out.
func (d *Driver) Images(ctx context.Context, parameters map[string]any) ([]provisioners.Image, error) {
	p, ok := number(parameters, paramPackage)
	if !ok {
		return nil, fmt.Errorf("virtfusion: the offer names no %s: %w", paramPackage, provisioners.ErrRefused)
	}
	var got envelope[[]struct {
		Name      string     `json:"name"`
		Templates []template `json:"templates"`
	}]
	if err := d.api.call(ctx, http.MethodGet, "/media/templates/fromServerPackageSpec/"+strconv.FormatInt(p, 10), nil, &got); err != nil {
		return nil, err
	}
	var all []provisioners.Image
	seen := map[string]bool{}
	for _, c := range got.Data {
		for _, t := range c.Templates {
			if t.EOL {
				continue
			}
			im := provisioners.Image{Code: t.code(), Name: t.title(), Group: c.Name, Parameter: strconv.FormatInt(t.ID, 10)}
			if seen[im.Code] {
				im.Code += "-" + im.Parameter
			}
			seen[im.Code] = true
			all = append(all, im)
		}
	}
	return all, nil
}

// plainVariants are names of variants that say nothing to a customer.
var plainVariants = regexp.MustCompile(`(?i)^(minimal|cloud|default|server)?$`)

func (t template) variant() string {
	if t.Variant == nil || plainVariants.MatchString(*t.Variant) {
		return ""
	}
	return *t.Variant
}

func (t template) title() string {
	return strings.Join(strings.Fields(t.Name+" "+t.Version+" "+t.variant()), " ")
}

// code is debian-12 of "Debian", "12 (Bookworm)".
func (t template) code() string {
	version, _, _ := strings.Cut(t.Version, "(")
	words := strings.FieldsFunc(strings.ToLower(t.Name+" "+version+" "+t.variant()), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.'
	})
	return strings.Join(words, "-")
}

// month is one of the platform's months of a server.
type month struct {
	Start  string `json:"start"`
	End    string `json:"end"`   // names the last second
	Total  int64  `json:"total"` // bytes
	Limit  int64  `json:"limit"` // GB
	Blocks []struct {
		Traffic int64 `json:"traffic"` // GB
	} `json:"blocks"`
}

// Traffic are the months of the server, which begin on the day of its creation.
func (d *Driver) Traffic(ctx context.Context, ref provisioners.Ref) ([]provisioners.Traffic, error) {
	var got envelope[struct {
		Monthly []month `json:"monthly"`
	}]
	if err := d.act(ctx, ref, http.MethodGet, "/traffic", nil, &got); err != nil {
		return nil, err
	}
	all := make([]provisioners.Traffic, len(got.Data.Monthly))
	for i, m := range got.Data.Monthly {
		var err error
		if all[i], err = m.traffic(); err != nil {
			return nil, unreadable(err)
		}
	}
	return all, nil
}

func (m month) traffic() (t provisioners.Traffic, err error) {
	if t.From, err = time.ParseInLocation(time.DateTime, m.Start, time.UTC); err != nil {
		return t, err
	}
	if t.To, err = time.ParseInLocation(time.DateTime, m.End, time.UTC); err != nil {
		return t, err
	}
	t.To, t.Used = t.To.Add(time.Second), m.Total
	if m.Limit > 0 {
		t.Limit = m.Limit * 1e9
		for _, b := range m.Blocks {
			t.Limit += b.Traffic * 1e9
		}
	}
	return t, nil
}
