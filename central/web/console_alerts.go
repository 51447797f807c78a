package web

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

func (s *Console) alertRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "/alerts", identity.SystemRead, s.listAlerts),
		at("POST", "/alerts/seen", identity.AlertsManage, s.seeAlerts),
		at("GET", "/alerts/channels", identity.AlertsManage, s.listChannels),
		at("POST", "/alerts/channels", identity.AlertsManage, s.addChannel),
		at("POST", "/alerts/channels/:channel/test", identity.AlertsManage, s.testChannel),
		at("POST", "/alerts/channels/:channel/switch", identity.AlertsManage, s.switchChannel),
		at("POST", "/alerts/channels/:channel/remove", identity.AlertsManage, s.removeChannel),
	}
}

type alertsView struct {
	Rows   []alerts.Listed
	Unseen int
	Only   bool // the unseen
	Until  string
	Older  string // where the next page begins
	May    bool
}

const shownAlerts = 50

// listAlerts handles GET /alerts.
func (s *Console) listAlerts(c *fiber.Ctx) error {
	f := alerts.Filter{Unseen: c.Query("unseen") != "", Limit: shownAlerts}
	if at, err := time.Parse(time.RFC3339Nano, c.Query("before")); err == nil && at.Year() > 2000 && at.Year() < 2200 {
		f.Before = at
	}
	rows, unseen, err := s.Office.Alerts.List(c.UserContext(), f)
	if err != nil {
		return err
	}
	p, _ := surface.Principal(c)
	v := alertsView{Rows: rows, Unseen: unseen, Only: f.Unseen, May: p.May(identity.AlertsManage)}
	if len(rows) > 0 {
		v.Until = rows[0].At.UTC().Format(time.RFC3339Nano)
	}
	if len(rows) == shownAlerts {
		v.Older = rows[len(rows)-1].At.UTC().Format(time.RFC3339Nano)
	}
	return surface.Render(c, "console", "console/alerts", "Alerts", v)
}

// seeAlerts handles POST /alerts/seen: those up to the newest that the page showed.
func (s *Console) seeAlerts(c *fiber.Ctx) error {
	until, err := time.Parse(time.RFC3339Nano, c.FormValue("until"))
	if err != nil || until.Year() < 2000 || until.Year() > 2200 {
		return fault.New(fault.Invalid, "alerts.no_moment", "Please open the list again.")
	}
	p, _ := surface.Principal(c)
	if err := s.Office.Alerts.See(c.UserContext(), until, p.Name); err != nil {
		return err
	}
	return surface.Redirect(c, "/alerts", "Noted: they have been seen.")
}

type channelsView struct {
	Channels []alerts.Channel
	Kinds    []kindChoice
	Ways     []wayChoice
	In       alerts.NewChannel
}

type kindChoice struct {
	alerts.Kind
	Chosen bool
}

type wayChoice struct{ Value, Label string }

func (s *Console) channelsView(c *fiber.Ctx, in alerts.NewChannel) (v channelsView, err error) {
	if in.Kind == "" {
		in.Kind = alerts.Discord
	}
	v = channelsView{In: in, Ways: []wayChoice{{alerts.Discord, "Discord"}, {alerts.Mail, "Mail"}}}
	for _, k := range alerts.Kinds() {
		v.Kinds = append(v.Kinds, kindChoice{k, strings.Contains(" "+strings.Join(in.Kinds, " ")+" ", " "+k.Value+" ")})
	}
	v.Channels, err = s.Office.Alerts.Channels(c.UserContext())
	return v, err
}

// listChannels handles GET /alerts/channels.
func (s *Console) listChannels(c *fiber.Ctx) error {
	v, err := s.channelsView(c, alerts.NewChannel{})
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/alert_channels", "Channels of alerts", v)
}

// addChannel handles POST /alerts/channels.
func (s *Console) addChannel(c *fiber.Ctx) error {
	in := alerts.NewChannel{Kind: c.FormValue("kind"), Name: c.FormValue("name"), Target: c.FormValue("target")}
	for _, k := range c.Request().PostArgs().PeekMulti("kinds") {
		in.Kinds = append(in.Kinds, string(k))
	}
	if _, err := s.Office.Alerts.Add(c.UserContext(), in, office.By(c)); err != nil {
		in.Target = "" // it may be a secret, and wrong
		v, verr := s.channelsView(c, in)
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, "console", "console/alert_channels", "Channels of alerts", v)
	}
	return surface.Redirect(c, "/alerts/channels", "The channel is on. Send it a test.")
}

func channelID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("channel"))
	if err != nil {
		return id, fault.New(fault.NotFound, "channel.unknown", "There is no such channel.")
	}
	return id, nil
}

// testChannel handles POST /alerts/channels/:channel/test.
func (s *Console) testChannel(c *fiber.Ctx) error {
	id, err := channelID(c)
	if err != nil {
		return err
	}
	p, _ := surface.Principal(c)
	if err := s.Office.Alerts.Test(c.UserContext(), id, p.Name); err != nil {
		return err
	}
	return surface.Redirect(c, "/alerts/channels", "The test is on its way.")
}

// switchChannel handles POST /alerts/channels/:channel/switch.
func (s *Console) switchChannel(c *fiber.Ctx) error {
	id, err := channelID(c)
	if err != nil {
		return err
	}
	on := c.FormValue("on") == "yes"
	if err := s.Office.Alerts.Switch(c.UserContext(), id, on, office.By(c)); err != nil {
		return err
	}
	if on {
		return surface.Redirect(c, "/alerts/channels", "The channel is on.")
	}
	return surface.Redirect(c, "/alerts/channels", "The channel is off.")
}

// removeChannel handles POST /alerts/channels/:channel/remove.
func (s *Console) removeChannel(c *fiber.Ctx) error {
	id, err := channelID(c)
	if err != nil {
		return err
	}
	if err := s.Office.Alerts.Remove(c.UserContext(), id, office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/alerts/channels", "The channel is removed.")
}
