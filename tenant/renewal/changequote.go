package renewal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// ChangeFor is how long a quote of a change counts.
const ChangeFor = 15 * time.Minute

// ChangeAsk is what somebody would like to have instead. Empty fields stay as they are.
type ChangeAsk struct {
	SubscriptionID uuid.UUID
	AccountID      uuid.UUID // whose it must be; uuid.Nil: anybody's, for the reseller's team
	Plan           string    // of the same product
	Cycle          billing.Cycle
	Options        map[string]string
}

// ChangeTax is what one rate comes to.
type ChangeTax struct {
	Label  string        `json:"label"`
	Note   string        `json:"note,omitempty"`
	Amount billing.Money `json:"amount"`
}

// ChangeQuote is a change with its price, to the cent, until it expires. Accepted, it is
// one change, however often.
type ChangeQuote struct {
	ID             uuid.UUID       `json:"-"`
	SubscriptionID uuid.UUID       `json:"subscription_id"`
	AccountID      uuid.UUID       `json:"account_id"`
	At             time.Time       `json:"at"` // the moment it is priced for
	Was            string          `json:"was"`
	Ask            ChangeAsk       `json:"ask"`
	Terms          Terms           `json:"terms"`
	Price          billing.Changed `json:"price"`
	Net            billing.Money   `json:"net"` // today; less than nothing is in Back
	Tax            billing.Money   `json:"tax"`
	Total          billing.Money   `json:"total"`
	Taxes          []ChangeTax     `json:"taxes,omitempty"`
	Back           billing.Money   `json:"back"`   // with tax, what is given back or kept as credit
	Amount         billing.Money   `json:"amount"` // a cycle, net, afterwards
	InvoiceID      uuid.UUID       `json:"invoice_id,omitzero"`
	Facts          []catalog.Fact  `json:"facts,omitempty"`
	KeepsDisk      int             `json:"keeps_disk,omitempty"` // GB that stay although the new plan has fewer
	CreatedAt      time.Time       `json:"-"`
	ExpiresAt      time.Time       `json:"-"`
	AcceptedAt     time.Time       `json:"-"` // zero: not accepted
}

// changing is a subscription with all that a change of it depends on.
type changing struct {
	s       Subscription
	service hosting.Service // zero: none
	plan    catalog.FullPlan
	plans   []catalog.FullPlan // of the product, the present one among them
	picked  catalog.Picked
	upgrade billing.UpgradeMode
	down    billing.DowngradeMode
}

// Changeable says why a subscription cannot be changed now; nil: it can.
func (s Subscription) Changeable(now time.Time) error {
	switch {
	case s.State == PastDue || s.State == Suspended:
		return fault.New(fault.Conflict, "change.overdue", "An invoice is overdue. Please pay it first; then the subscription can be changed.")
	case s.State != Active:
		return fault.New(fault.Conflict, "change.not_running", "This subscription does not run, so there is nothing to change.")
	case !s.CancelAt.IsZero():
		return fault.New(fault.Conflict, "change.cancelled", "This subscription is cancelled. Take the cancellation back to change it.")
	case s.Change != nil:
		return fault.New(fault.Conflict, "change.under_way", "A change of this subscription is under way. Please wait until it is made, or take it back.")
	case s.Cycle.Months() == 0:
		return fault.New(fault.Conflict, "change.not_possible", "What is paid once cannot be changed.")
	case !s.Period.To.After(now):
		return fault.New(fault.Conflict, "change.renewing", "This subscription is being renewed. Please come back when its invoice is paid.")
	}
	return nil
}

// readChanging reads a subscription for a change. Faults: subscription.not_found and
// those of Changeable.
func readChanging(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID, locked bool) (c changing, err error) {
	if locked {
		c.s, err = theirs(ctx, tx, id, account)
	} else if c.s, err = Get(ctx, tx, id); err == nil && account != uuid.Nil && c.s.AccountID != account {
		err = errNone
	}
	if err != nil {
		return c, err
	}
	if err := c.s.Changeable(tx.Now()); err != nil {
		return c, err
	}
	if c.s.ServiceID != uuid.Nil {
		if c.service, err = hosting.Get(ctx, tx, c.s.ServiceID); err != nil {
			return c, err
		}
		if err := c.service.Resizable(); err != nil {
			return c, err
		}
	}
	if c.plans, err = catalog.Siblings(ctx, tx, c.s.PlanID); err != nil {
		return c, err
	}
	i := slices.IndexFunc(c.plans, func(p catalog.FullPlan) bool { return p.ID == c.s.PlanID })
	if i < 0 {
		return c, fmt.Errorf("subscription %s has no plan", id)
	}
	c.plan, c.upgrade, c.down = c.plans[i], c.plans[i].Upgrade, c.plans[i].Downgrade
	c.picked, err = pickedOf(ctx, tx, c.s)
	return c, err
}

// pickedOf is what was chosen at the last change, or in the order.
func pickedOf(ctx context.Context, tx *tenancy.Tx, s Subscription) (p catalog.Picked, err error) {
	if s.Picked.Plan != "" {
		return s.Picked, nil
	}
	var text string
	err = tx.NewRaw(`SELECT x->>'picked' FROM orders o JOIN quotes q ON q.id = o.quote_id, jsonb_array_elements(coalesce(q.body->'items', '[]')) AS x
		WHERE o.id = ? AND x->>'subscription_id' = ?`, s.OrderID, s.ID.String()).Scan(ctx, &text)
	if tenancy.IsNoRows(err) || err == nil && text == "" {
		return catalog.Picked{}, nil
	}
	if err != nil {
		return p, fmt.Errorf("read what was ordered: %w", err)
	}
	return p, json.Unmarshal([]byte(text), &p)
}

// want fills in what an ask leaves as it is. An option that the asker does not name is as
// it was.
func (c changing) want(a ChangeAsk) (catalog.FullPlan, catalog.Picked, error) {
	in := c.picked
	in.Product, in.Plan, in.Cycle = c.plan.Product, c.plan.Slug, c.s.Cycle
	if a.Plan != "" {
		in.Plan = a.Plan
	}
	if a.Cycle != "" {
		in.Cycle = a.Cycle
	}
	in.Options = maps.Clone(in.Options)
	if in.Options == nil {
		in.Options = map[string]string{}
	}
	maps.Copy(in.Options, a.Options)
	p, ok := catalog.Find(c.plans, in.Path())
	switch {
	case !ok:
		return p, in, fault.Field("plan", "change.unknown_plan", "There is no such plan.")
	case !p.ForSale() && p.ID != c.plan.ID:
		return p, in, fault.Field("plan", "change.plan_archived", p.Name+" is not sold any more. Please choose another plan.")
	}
	return p, in, nil
}

// target is what an ask comes to. Faults: change.unknown_plan, change.plan_archived,
// change.sold_out, and those of catalog.Configure.
func (c changing) target(offers []catalog.Offer, a ChangeAsk) (catalog.Configured, error) {
	p, in, err := c.want(a)
	if err != nil {
		return catalog.Configured{}, err
	}
	other := p.ID != c.plan.ID
	if other && p.Stock != nil && *p.Stock == 0 {
		return catalog.Configured{}, fault.Field("plan", "change.sold_out", p.Name+" is sold out. Please choose another plan.")
	}
	if !other { // who has it keeps it, and may change its options
		p.Visibility, p.ProductVisibility = catalog.Shown, catalog.Shown
	}
	if c.service.ID != uuid.Nil {
		in.Region, in.Image, in.Hostname = c.service.Region, "", ""
		if p.SKU == c.service.SKU {
			offers = roomFor(offers, p.SKU, in.Region)
		}
	}
	got, err := catalog.Configure(p, offers, c.s.Amount.Currency, in)
	if err != nil {
		return got, err
	}
	got.Picked.Image, got.Picked.Hostname = c.picked.Image, c.picked.Hostname
	got.Items = c.kept(got)
	got.Amount = billing.Money{Currency: c.s.Amount.Currency}
	for _, it := range got.Items {
		if got.Amount, err = got.Amount.Add(it.Amount); err != nil {
			return got, fault.Wrap(err, fault.Invalid, "configuration.too_much", "This comes to more than we can calculate.")
		}
	}
	return got, nil
}

// roomFor says that there is room where the service already is.
func roomFor(offers []catalog.Offer, sku, region string) []catalog.Offer {
	out := slices.Clone(offers)
	for i := range out {
		if out[i].SKU != sku {
			continue
		}
		out[i].Regions = slices.Clone(out[i].Regions)
		for j := range out[i].Regions {
			if out[i].Regions[j].Code == region {
				out[i].Regions[j].Available = true
			}
		}
	}
	return out
}

// kept gives what does not change the price it was sold for.
func (c changing) kept(got catalog.Configured) []catalog.Item {
	out := slices.Clone(got.Items)
	if got.Picked.Cycle != c.s.Cycle {
		return out
	}
	for i := range out {
		for _, old := range c.s.Items {
			same := old.Kind == out[i].Kind && old.Quantity == out[i].Quantity && (old.Code == out[i].Code && old.Label == out[i].Label || old.Kind == "plan" && got.Plan.ID == c.plan.ID)
			if same {
				out[i].Code, out[i].Label, out[i].Amount.Minor = old.Code, old.Label, old.AmountMinor
			}
		}
	}
	return out
}

// terms are what a subscription has, as the engine takes it.
func (s Subscription) terms() billing.Terms {
	t := billing.Terms{Cycle: s.Cycle}
	var sum int64
	for _, it := range s.Items {
		sum += it.AmountMinor
		t.Parts = append(t.Parts, billing.Part{Kind: it.Kind, Code: it.Code, Label: it.words(s.Label), Quantity: it.Quantity, Price: billing.Money{Minor: it.AmountMinor, Currency: s.Amount.Currency}})
	}
	if len(t.Parts) == 0 || sum != s.Amount.Minor {
		t.Parts = []billing.Part{{Kind: "plan", Label: s.Label, Quantity: 1, Price: s.Amount}}
	}
	return t
}

func (it Item) words(label string) string {
	if it.Kind == "plan" {
		return label
	}
	return it.Label
}

// restarted is what is left of a code's discount when the periods are counted anew.
func (s Subscription) restarted() *billing.Discount {
	if s.Discount == nil || s.Discount.Cycles == 0 {
		return s.Discount
	}
	left := *s.Discount
	if left.Cycles -= s.Renewals + 1; left.Cycles <= 0 {
		return nil
	}
	return &left
}

// less takes a code's discount off parts.
func less(parts []billing.Part, d *billing.Discount) ([]billing.Part, error) {
	lines := make([]billing.Line, len(parts))
	for i, p := range parts {
		lines[i] = billing.Line{Kind: p.Kind, Quantity: 1, Unit: p.Price}
	}
	lines, _, err := d.Apply(lines)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(parts)
	for i := range out {
		if out[i].Price != lines[i].Net {
			out[i].Price, out[i].Label = lines[i].Net, out[i].Label+" with "+d.Code
		}
	}
	return out, nil
}

// discounts takes off what a code takes off the period that runs, before and after, or
// off the first one where the periods are counted anew.
func (c changing) discounts(old, now *billing.Terms, at time.Time) (err error) {
	d := c.s.Discount
	if d == nil {
		return nil
	}
	_, first := c.s.paid(at)
	running := d.Counts(first + 1)
	if running {
		if old.Parts, err = less(old.Parts, d); err != nil {
			return err
		}
	}
	if old.Cycle != now.Cycle || c.upgrade == billing.UpgradeFullPrice {
		d = c.s.restarted()
		running = d != nil
	}
	if running {
		now.Parts, err = less(now.Parts, d)
	}
	return err
}

// paid are the periods that are paid and not over, and which of all the first is, from 0.
func (s Subscription) paid(now time.Time) (all []billing.Period, first int) {
	for n := s.Renewals + 1; n >= 0; n-- {
		p := s.Cycle.Period(s.AnchorAt, n, s.Zone())
		if !p.To.After(now) {
			break
		}
		if !p.To.After(s.Period.To) {
			all, first = append(all, p), n
		}
	}
	slices.Reverse(all)
	return all, first
}

// price is the quote of an ask at a moment.
func (c changing) price(ctx context.Context, tx *tenancy.Tx, offers []catalog.Offer, a ChangeAsk, at time.Time) (ChangeQuote, error) {
	got, err := c.target(offers, a)
	if err != nil {
		return ChangeQuote{}, err
	}
	s := c.s
	q := ChangeQuote{SubscriptionID: s.ID, AccountID: s.AccountID, At: at, Was: s.Label, Ask: a, Amount: got.Amount, Facts: got.Chosen}
	q.Terms = Terms{PlanID: got.Plan.ID, Label: got.Label, Cycle: got.Picked.Cycle, AmountMinor: got.Amount.Minor, Picked: got.Picked, SKU: got.Plan.SKU, Spec: got.Spec}
	if got.Plan.ID == c.plan.ID {
		q.Terms.Label = s.Label
	}
	now := billing.Terms{Cycle: got.Picked.Cycle}
	for _, it := range got.Items {
		mine := Item{Kind: it.Kind, Code: it.Code, Label: it.Label, Quantity: it.Quantity, AmountMinor: it.Amount.Minor}
		q.Terms.Items = append(q.Terms.Items, mine)
		now.Parts = append(now.Parts, billing.Part{Kind: it.Kind, Code: it.Code, Label: mine.words(q.Terms.Label), Quantity: it.Quantity, Price: it.Amount})
	}
	old := s.terms()
	if err := c.discounts(&old, &now, at); err != nil {
		return q, err
	}
	if c.service.Spec.DiskGB > q.Terms.Spec.DiskGB {
		q.KeepsDisk = c.service.Spec.DiskGB
	}
	paid, _ := s.paid(at)
	q.Price, err = billing.Change{At: at, Zone: s.Zone(), Paid: paid, Old: old, New: now, Upgrade: c.upgrade, Downgrade: c.down}.Price()
	switch {
	case errors.Is(err, billing.ErrSame):
		return q, fault.New(fault.Conflict, "change.nothing", "Nothing would change. Please choose something else.")
	case errors.Is(err, billing.ErrUnpaid), errors.Is(err, billing.ErrPeriod):
		return q, fault.New(fault.Conflict, "change.renewing", "This subscription is being renewed. Please come back when its invoice is paid.")
	case err != nil:
		return q, fault.Wrap(err, fault.Invalid, "change.too_much", "This comes to more than we can calculate.")
	}
	return q, q.tax(ctx, tx)
}

// lines are what an invoice over the change says.
func (q ChangeQuote) lines() []billing.Line {
	var all []billing.Line
	for _, l := range q.Price.Lines {
		all = append(all, billing.Line{Kind: l.Part.Kind, SubscriptionID: q.SubscriptionID.String(), Description: l.Text, Period: l.Period, Quantity: 1, Unit: l.Net, Net: l.Net})
	}
	return all
}

// tax fills in what is to be paid today, or given back.
func (q *ChangeQuote) tax(ctx context.Context, tx *tenancy.Tx) error {
	nothing := billing.Money{Currency: q.Amount.Currency}
	q.Net, q.Tax, q.Total, q.Back = nothing, nothing, nothing, nothing
	if q.Price.Net.IsZero() {
		return nil
	}
	who, err := account.ForInvoice(ctx, tx, q.AccountID)
	if err != nil {
		return err
	}
	lines := q.lines()
	if q.Price.Net.Minor < 0 {
		back := billing.Money{Minor: -q.Price.Net.Minor, Currency: q.Price.Net.Currency}
		lines = []billing.Line{{Kind: "plan", Description: "Back", Quantity: 1, Unit: back}}
	}
	p, err := invoicing.PriceFor(ctx, tx, who.Taxed(tx.Now()), lines)
	if err != nil {
		return err
	}
	if q.Price.Net.Minor < 0 {
		q.Back = p.Total
		return nil
	}
	q.Net, q.Tax, q.Total = p.Net, p.Tax, p.Total
	for _, sum := range p.Taxes {
		q.Taxes = append(q.Taxes, ChangeTax{Label: taxLabel(sum.Rule), Note: sum.Rule.Note, Amount: sum.Tax})
	}
	return nil
}

// QuoteChange prices a change and keeps the offer for ChangeFor. Faults:
// subscription.not_found, those of Changeable and of a service that cannot be changed,
// change.unknown_plan, change.plan_archived, change.sold_out, change.nothing, and those
// of catalog.Configure.
func (d *Desk) QuoteChange(ctx context.Context, db *tenancy.DB, a ChangeAsk) (q ChangeQuote, err error) {
	offers, err := d.offers(ctx, db)
	if err != nil {
		return q, err
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		c, err := readChanging(ctx, tx, a.SubscriptionID, a.AccountID, false)
		if err != nil {
			return err
		}
		if q, err = c.price(ctx, tx, offers, a, tx.Now().Truncate(time.Microsecond)); err != nil {
			return err
		}
		return q.keep(ctx, tx)
	})
	return q, err
}

func (d *Desk) offers(ctx context.Context, db *tenancy.DB) ([]catalog.Offer, error) {
	if d.Offers == nil {
		return nil, nil
	}
	return d.Offers.Offers(ctx, db.Tenant().ID)
}

func (q *ChangeQuote) keep(ctx context.Context, tx *tenancy.Tx) (err error) {
	if q.ID, err = uuid.NewV7(); err != nil {
		return err
	}
	q.CreatedAt, q.ExpiresAt = tx.Now(), tx.Now().Add(ChangeFor)
	raw, err := json.Marshal(q)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at)
		VALUES (?, 'change', ?, ?, ?, ?, ?, ?::jsonb, ?, ?)`,
		q.ID, q.AccountID, q.Total.Currency, q.Net.Minor, q.Tax.Minor, q.Total.Minor, string(raw), q.CreatedAt, q.ExpiresAt).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep the quote: %w", err)
	}
	return nil
}

// GetChange returns a quote of a change; account uuid.Nil: anybody's. Fault:
// change.quote_unknown.
func GetChange(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID) (ChangeQuote, error) {
	return readChange(ctx, tx, id, account, "")
}

func readChange(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID, lock string) (q ChangeQuote, err error) {
	var r struct {
		Body                             []byte
		CreatedAt, ExpiresAt, AcceptedAt time.Time
	}
	err = tx.NewRaw("SELECT body, created_at, expires_at, accepted_at FROM quotes WHERE id = ? AND kind = 'change'"+lock, id).Scan(ctx, &r)
	if err == nil {
		if err = json.Unmarshal(r.Body, &q); err == nil && account != uuid.Nil && q.AccountID != account {
			return ChangeQuote{}, errNoQuote
		}
	}
	if tenancy.IsNoRows(err) {
		return q, errNoQuote
	}
	if err != nil {
		return q, fmt.Errorf("read the quote: %w", err)
	}
	q.ID, q.CreatedAt, q.ExpiresAt, q.AcceptedAt = id, r.CreatedAt, r.ExpiresAt, r.AcceptedAt
	return q, nil
}

var errNoQuote = fault.New(fault.NotFound, "change.quote_unknown", "There is no such offer.")

// same reports whether two quotes promise and cost the same.
func (q ChangeQuote) same(o ChangeQuote) bool {
	one, err := json.Marshal(q.Terms) // as they are kept: what is empty is left out
	two, err2 := json.Marshal(o.Terms)
	return err == nil && err2 == nil && bytes.Equal(one, two) && q.Net == o.Net && q.Total == o.Total && q.Back == o.Back && q.Amount == o.Amount &&
		q.Price.AtRenewal == o.Price.AtRenewal && q.Price.NextAt.Equal(o.Price.NextAt) && q.Price.Return == o.Price.Return
}

// taxLabel is "VAT 19 %".
func taxLabel(r billing.TaxRule) string {
	name := r.Name
	if name == "" {
		name = "Tax"
	}
	return name + " " + strconv.FormatFloat(float64(r.Ppm)/10_000, 'f', -1, 64) + " %"
}

// ChangeChoice is what a subscription can be changed to.
type ChangeChoice struct {
	Subscription Subscription
	Plan         catalog.FullPlan   // the present one
	Plans        []catalog.FullPlan // that it can become, the present one among them
	Picked       catalog.Picked     // as it is
}

// Choices reads what a subscription can be changed to: the plans of its product that are
// sold in its currency and delivered where it is. Faults: as QuoteChange.
func Choices(ctx context.Context, tx *tenancy.Tx, offers []catalog.Offer, id, account uuid.UUID) (out ChangeChoice, err error) {
	c, err := readChanging(ctx, tx, id, account, false)
	if err != nil {
		return out, err
	}
	out = ChangeChoice{Subscription: c.s, Plan: c.plan, Picked: c.picked}
	out.Picked.Product, out.Picked.Plan, out.Picked.Cycle = c.plan.Product, c.plan.Slug, c.s.Cycle
	for _, p := range c.plans {
		if p.ID == c.plan.ID || c.offered(p, offers) {
			out.Plans = append(out.Plans, p)
		}
	}
	return out, nil
}

// offered reports whether a plan could be had instead.
func (c changing) offered(p catalog.FullPlan, offers []catalog.Offer) bool {
	if !p.ForSale() || len(p.InCurrency(c.s.Amount.Currency)) == 0 || p.Visibility == catalog.Hidden {
		return false
	}
	if c.service.ID == uuid.Nil {
		return true
	}
	return slices.ContainsFunc(catalog.Places(p, catalog.OfferFor(offers, p)), func(r catalog.Region) bool { return r.Code == c.service.Region })
}
