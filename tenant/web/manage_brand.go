package web

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

func (s *Site) brandRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: "/manage/brand", Needs: identity.BrandRead, Handler: s.brandDesk},
		{Method: fiber.MethodPost, Path: "/manage/brand", Needs: identity.BrandWrite, Handler: s.saveBrand},
		{Method: fiber.MethodPost, Path: "/manage/brand/pictures", Needs: identity.BrandWrite, Handler: s.addPicture},
		{Method: fiber.MethodPost, Path: "/manage/brand/preview-link", Needs: identity.BrandWrite, Handler: s.shareBrand},
		{Method: fiber.MethodPost, Path: "/manage/brand/discard", Needs: identity.BrandWrite, Handler: s.discardBrand},
		{Method: fiber.MethodPost, Path: "/manage/brand/publish", Needs: identity.BrandPublish, Handler: s.publishBrand},
		{Method: fiber.MethodGet, Path: "/manage/brand/preview", Needs: identity.BrandRead, Handler: s.previewBrand},
		{Method: fiber.MethodGet, Path: "/manage/brand/history", Needs: identity.BrandRead, Handler: s.brandHistory},
		{Method: fiber.MethodGet, Path: "/manage/brand/history/:number", Needs: identity.BrandRead, Handler: s.brandVersion},
		{Method: fiber.MethodPost, Path: "/manage/brand/history/:number/rollback", Needs: identity.BrandPublish, Handler: s.rollBackBrand},
	}
}

// actorOf is the signed-in person as the brand's trail names them.
func actorOf(c *fiber.Ctx) branding.Actor {
	p, _ := surface.Principal(c)
	return branding.Actor{Actor: audit.By(p), IP: surface.ClientIP(c), RequestID: surface.RequestID(c)}
}

// number reads a whole number of a form or path; anything else is -1, which nothing has.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// brandDesk handles GET /manage/brand.
func (s *Site) brandDesk(c *fiber.Ctx) error {
	view, err := s.brandView(c)
	if err != nil {
		return err
	}
	return showBrand(c, view)
}

func showBrand(c *fiber.Ctx, view brandView) error {
	c.Set(fiber.HeaderContentSecurityPolicy, surface.FramingPolicy)
	return surface.Render(c, "manage", "manage/brand", "Brand", view)
}

// brandView reads the draft as the page shows it.
func (s *Site) brandView(c *fiber.Ctx) (brandView, error) {
	bench, err := s.Brands.Bench(c.UserContext(), surface.DB(c))
	if err != nil {
		return brandView{}, err
	}
	draft, current, b := bench.Draft, bench.Published, bench.Brand
	person, _ := surface.Principal(c)
	v := newBrandView(draft.Content, s.Brands.Themes())
	v.Revision, v.Published = draft.Revision, current.Number
	v.PublishedAt, v.SavedAt, v.SavedBy = current.PublishedAt, draft.ChangedAt, draft.CreatedBy
	v.Changes = branding.Diff(current.Content, draft.Content)
	v.CanWrite, v.CanPublish = person.May(identity.BrandWrite), person.May(identity.BrandPublish)
	v.LogoURL, v.LogoDarkURL, v.FaviconURL = b.LogoURL, b.LogoDarkURL, b.FaviconURL
	for _, r := range b.Repairs {
		v.Findings = append(v.Findings, r.Message())
	}
	return v, nil
}

// saveBrand handles POST /manage/brand: the button, and htmx after every change.
func (s *Site) saveBrand(c *fiber.Ctx) error {
	draft, _, err := s.Brands.Draft(c.UserContext(), surface.DB(c))
	if err != nil {
		return err
	}
	content, err := contentOf(c, draft.Content)
	if err == nil {
		_, err = s.Brands.SaveDraft(c.UserContext(), surface.DB(c), branding.Edit{Content: content, Revision: number(c.FormValue("revision")), By: actorOf(c)})
	}
	quietly := c.Get("HX-Request") == "true"
	if err == nil && !quietly {
		return surface.Redirect(c, "/manage/brand", "Draft saved.")
	}
	view, verr := s.brandView(c)
	if verr != nil {
		return verr
	}
	if err == nil {
		return surface.Fragment(c, "manage/brand", "brand-side", view)
	}
	f := fault.From(err)
	if began := number(c.FormValue("revision")); began >= 0 { // what was not saved still began there
		view.Revision = began
	}
	if quietly && f.Kind == fault.Invalid {
		for _, field := range brandFields {
			if m := f.Fields[field.key]; m != "" {
				view.Problems = append(view.Problems, field.label+": "+m)
			}
		}
		return surface.Fragment(c, "manage/brand", "brand-side", view)
	}
	if quietly {
		return err
	}
	view.fill(content)
	var conflict *branding.DraftConflict
	if errors.As(err, &conflict) {
		view.Conflict, view.ConflictBy, view.Revision = conflict.Changes, conflict.Stored.CreatedBy, conflict.Stored.Revision
	}
	c.Set(fiber.HeaderContentSecurityPolicy, surface.FramingPolicy)
	return surface.FormError(c, err, "manage", "manage/brand", "Brand", view)
}

// addPicture handles POST /manage/brand/pictures: one picture into the draft, or out
// of it.
func (s *Site) addPicture(c *fiber.Ctx) error {
	purpose := media.Purpose(c.FormValue("purpose"))
	id := ""
	if c.FormValue("remove") == "" {
		u, err := s.keepPicture(c, purpose)
		if err != nil {
			return s.brandError(c, err)
		}
		id = u.ID.String()
	}
	draft, _, err := s.Brands.Draft(c.UserContext(), surface.DB(c))
	if err != nil {
		return err
	}
	switch purpose {
	case media.Logo:
		draft.Content.Tokens.Logo = id
	case media.LogoDark:
		draft.Content.Tokens.LogoDark = id
	case media.Favicon:
		draft.Content.Tokens.Favicon = id
	default:
		return fault.New(fault.Malformed, "brand.unknown_picture", "Choose which picture it is.")
	}
	_, err = s.Brands.SaveDraft(c.UserContext(), surface.DB(c), branding.Edit{Content: draft.Content, Revision: draft.Revision, By: actorOf(c)})
	if err != nil {
		return s.brandError(c, err)
	}
	return surface.Redirect(c, "/manage/brand#pictures", "Draft saved.")
}

func (s *Site) keepPicture(c *fiber.Ctx, purpose media.Purpose) (media.Upload, error) {
	head, err := c.FormFile("file")
	if err != nil {
		return media.Upload{}, fault.Field(string(purpose), "upload.empty", "Choose a file first.")
	}
	f, err := head.Open()
	if err != nil {
		return media.Upload{}, fmt.Errorf("open the upload: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, media.MaxBytes+1))
	if err != nil {
		return media.Upload{}, fmt.Errorf("read the upload: %w", err)
	}
	by := actorOf(c)
	return s.Media.Add(c.UserContext(), surface.DB(c), media.Offer{Purpose: purpose, FileName: head.Filename,
		MediaType: head.Header.Get(fiber.HeaderContentType), Bytes: b, By: by.Actor, IP: by.IP, RequestID: by.RequestID})
}

// brandError shows the page with what was wrong.
func (s *Site) brandError(c *fiber.Ctx, err error) error {
	view, verr := s.brandView(c)
	if verr != nil {
		return verr
	}
	c.Set(fiber.HeaderContentSecurityPolicy, surface.FramingPolicy)
	return surface.FormError(c, err, "manage", "manage/brand", "Brand", view)
}

// shareBrand handles POST /manage/brand/preview-link. The link is shown once: only
// its hash is kept.
func (s *Site) shareBrand(c *fiber.Ctx) error {
	token, err := s.Brands.PreviewLink(c.UserContext(), surface.DB(c))
	if err != nil {
		return s.brandError(c, err)
	}
	view, err := s.brandView(c)
	if err != nil {
		return err
	}
	view.Link = surface.BaseURL(c) + "/preview/" + token
	return showBrand(c, view)
}

// discardBrand handles POST /manage/brand/discard.
func (s *Site) discardBrand(c *fiber.Ctx) error {
	if err := s.Brands.DiscardDraft(c.UserContext(), surface.DB(c), number(c.FormValue("revision")), actorOf(c)); err != nil {
		return s.brandError(c, err)
	}
	return surface.Redirect(c, "/manage/brand", "Draft discarded. You see what is published.")
}

// publishBrand handles POST /manage/brand/publish.
func (s *Site) publishBrand(c *fiber.Ctx) error {
	v, err := s.Brands.Publish(c.UserContext(), surface.DB(c), branding.PublishOrder{Revision: number(c.FormValue("revision")),
		Published: number(c.FormValue("published")), Note: c.FormValue("note"), By: actorOf(c)})
	if err != nil {
		return s.brandError(c, err)
	}
	return surface.Redirect(c, "/manage/brand", fmt.Sprintf("Version %d is published.", v.Number))
}

// previewBrand handles GET /manage/brand/preview: the draft, in the page's frame.
func (s *Site) previewBrand(c *fiber.Ctx) error {
	b, err := s.Brands.DraftBrand(c.UserContext(), surface.DB(c))
	if err != nil {
		return err
	}
	return s.showDraft(c, b)
}

// brandHistory handles GET /manage/brand/history.
func (s *Site) brandHistory(c *fiber.Ctx) error {
	all, err := s.Brands.History(c.UserContext(), surface.DB(c))
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/brand-history", "Versions of the brand", historyView{Versions: all})
}

// brandVersion handles GET /manage/brand/history/<number>: what going back would change.
func (s *Site) brandVersion(c *fiber.Ctx) error {
	view, err := s.versionView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/brand-version", fmt.Sprintf("Version %d", view.Number), view)
}

func (s *Site) versionView(c *fiber.Ctx) (versionView, error) {
	person, _ := surface.Principal(c)
	view := versionView{Number: number(c.Params("number")), CanPublish: person.May(identity.BrandPublish)}
	current, err := s.Brands.Current(c.UserContext(), surface.DB(c))
	if err != nil {
		return view, err
	}
	all, err := s.Brands.History(c.UserContext(), surface.DB(c))
	if err != nil {
		return view, err
	}
	for i, v := range all {
		if v.Number == view.Number {
			view.Version, view.Published = v, current.Number
			view.Back = branding.Diff(current.Content, v.Content)
			if i+1 < len(all) {
				view.Made, view.Before = branding.Diff(all[i+1].Content, v.Content), all[i+1].Number
			}
			return view, nil
		}
	}
	return view, fault.New(fault.NotFound, "brand.no_such_version", "There is no such version of this brand.")
}

// rollBackBrand handles POST /manage/brand/history/<number>/rollback.
func (s *Site) rollBackBrand(c *fiber.Ctx) error {
	v, err := s.Brands.Rollback(c.UserContext(), surface.DB(c), branding.RollbackOrder{To: number(c.Params("number")),
		Published: number(c.FormValue("published")), Note: c.FormValue("note"), By: actorOf(c)})
	if err == nil {
		return surface.Redirect(c, "/manage/brand/history", fmt.Sprintf("Version %d is published: it is version %s again.", v.Number, c.Params("number")))
	}
	view, verr := s.versionView(c)
	if verr != nil {
		return verr
	}
	return surface.FormError(c, err, "manage", "manage/brand-version", fmt.Sprintf("Version %d", view.Number), view)
}
