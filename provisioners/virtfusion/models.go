package virtfusion

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/ezscale/ezscale/provisioners"
)

// server is what we read of VirtFusion's object. GET /servers/{id}, and the answers of
// creating and building, have all of it; lists have less.
type server struct {
	ID               int64       `json:"id"`
	Name             string      `json:"name"`
	Hostname         *string     `json:"hostname"`
	State            string      `json:"state"`
	CommissionStatus int         `json:"commissionStatus"`
	DeleteLevel      int         `json:"deleteLevel"`
	Suspended        bool        `json:"suspended"`
	BuildFailed      bool        `json:"buildFailed"`
	Settings         settings    `json:"settings"`
	Network          network     `json:"network"`
	Owner            owner       `json:"owner"`
	Tasks            tasks       `json:"tasks"`
	Remote           remoteState `json:"remoteState"`
}

type settings struct {
	Resources struct {
		Memory  int `json:"memory"`  // MB
		Storage int `json:"storage"` // GB
		Traffic int `json:"traffic"` // GB, 0: unlimited
		Cores   int `json:"cpuCores"`
	} `json:"resources"`
	Password string `json:"decryptedPassword"` // only where a build is answered
}

type network struct {
	Interfaces []struct {
		IPv4 []struct {
			Address string `json:"address"`
		} `json:"ipv4"`
		IPv6 []struct {
			Subnet    string   `json:"subnet"`
			Addresses []string `json:"addresses"`
		} `json:"ipv6"`
	} `json:"interfaces"`
}

type owner struct {
	ID    int64  `json:"id"`
	Email string `json:"email"`
}

type tasks struct {
	Active bool `json:"active"`
}

// remoteState is false unless it was asked for, then an object.
type remoteState struct{ Word string }

// UnmarshalJSON reads either form; what is neither is no state.
func (r *remoteState) UnmarshalJSON(b []byte) error {
	var o struct {
		State string `json:"state"`
	}
	if json.Unmarshal(b, &o) == nil {
		r.Word = o.State
	}
	return nil
}

// power translates libvirt's words.
func (r remoteState) power() provisioners.Power {
	switch strings.ToLower(r.Word) {
	case "running", "blocked", "paused", "in shutdown":
		return provisioners.PowerOn
	case "shut off", "shutoff", "stopped", "crashed":
		return provisioners.PowerOff
	}
	return provisioners.PowerUnknown
}

// The steps of a server's way, as commissionStatus counts them.
const (
	commissionAllocated = 0
	commissionQueued    = 1
	commissionBuilding  = 2
	commissionComplete  = 3
)

// built reports whether a build was ever asked for.
func (s server) built() bool {
	return s.State != "" && s.State != "allocated" || s.CommissionStatus > commissionAllocated
}

// complete reports whether the last installation ended well.
func (s server) complete() bool {
	return s.State == "complete" || s.CommissionStatus == commissionComplete && s.State != "failed"
}

// state is the server in the words of the contract.
func (s server) state() provisioners.State {
	name, _ := unmark(s.Name)
	st := provisioners.State{Name: name, Busy: s.Tasks.Active, Addresses: s.addresses(), Spec: provisioners.Spec{
		CPU: s.Settings.Resources.Cores, MemoryMB: s.Settings.Resources.Memory, DiskGB: s.Settings.Resources.Storage,
		TrafficGB: s.Settings.Resources.Traffic, IPv4: s.ipv4(),
	}}
	if s.Hostname != nil {
		st.Hostname = *s.Hostname
	}
	switch {
	case s.BuildFailed || s.State == "failed":
		st.Status, st.Problem = provisioners.StatusFailed, "The installation failed."
	case s.Suspended:
		st.Status = provisioners.StatusSuspended
	case s.complete():
		st.Status = provisioners.StatusActive
	default:
		st.Status = provisioners.StatusInstalling
		st.Step, st.Progress = s.step()
	}
	if st.Status != provisioners.StatusInstalling && st.Busy {
		st.Step = "Working"
	}
	return st
}

// step says how far an installation is; VirtFusion does not count finer.
func (s server) step() (words string, percent int) {
	switch s.CommissionStatus {
	case commissionAllocated:
		return "Resources reserved", 10
	case commissionQueued:
		return "Waiting to be installed", 30
	default:
		return "Installing", 60
	}
}

// addresses are the IPv4 addresses, then the IPv6 ones.
func (s server) addresses() (all []string) {
	for _, i := range s.Network.Interfaces {
		for _, a := range i.IPv4 {
			all = append(all, a.Address)
		}
	}
	for _, i := range s.Network.Interfaces {
		for _, a := range i.IPv6 {
			if len(a.Addresses) > 0 {
				all = append(all, a.Addresses...)
			} else if a.Subnet != "" {
				all = append(all, a.Subnet)
			}
		}
	}
	return all
}

func (s server) ipv4() (n int) {
	for _, i := range s.Network.Interfaces {
		n += len(i.IPv4)
	}
	return n
}

// row is a server in GET /servers. The simple form has no owner's address and an
// owner's number in its place.
type row struct {
	ID        int64           `json:"id"`
	Name      string          `json:"name"`
	Suspended bool            `json:"suspended"`
	Created   time.Time       `json:"created"`
	Owner     json.RawMessage `json:"owner"`
}

// email is the owner's address, where the list tells it.
func (r row) email() string {
	var o owner
	if json.Unmarshal(r.Owner, &o) != nil {
		return ""
	}
	return o.Email
}
