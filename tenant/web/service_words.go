package web

import (
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// serviceWords are what the pages of a service call its parts: a licence is no server.
type serviceWords struct {
	Icon                          string
	Running, Since                string // its state and the day it began
	Address, User, Password, Note string // of its access data
	Connect                       bool   // it is reached by SSH
	ByHand                        bool   // the team looks after it: nothing can be asked of a platform
	Place                         bool   // it stands somewhere
}

// wordsOf are the words for a service, by its type.
func wordsOf(x *hosting.Service) serviceWords {
	t := catalog.Type(x.Type)
	w := serviceWords{Icon: typeIcon(t), Running: "Running", Since: "Running since", Address: "Address", User: "User", Password: "Password", Note: "More", ByHand: x.ByHand(), Place: x.Region != ""}
	switch t {
	case catalog.VPS, catalog.Dedicated:
		w.Connect = true
	case catalog.WebHosting:
		w.Running, w.Since, w.Address = "Active", "Active since", "Control panel"
	case catalog.VPNServer:
		w.Note = "Configuration"
	case catalog.License:
		w.Running, w.Since, w.Address, w.User, w.Password, w.Note = "Active", "Active since", "Where it is used", "Licensed to", "Licence key", "How to use it"
	case catalog.GameServer, catalog.CloudDesktop:
	default:
		w.Running, w.Since = "Active", "Active since"
	}
	return w
}
