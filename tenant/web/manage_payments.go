package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/payment"
)

func (s *Site) paymentRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage" + path, Needs: needs, Handler: h}
	}
	return append(s.bankRoutes(), []surface.Route{
		at("GET", "/payments", identity.SalesRead, s.listPayments),
		at("GET", "/payments/:payment", identity.SalesRead, s.showPayment),
		at("POST", "/payments/:payment/refund", identity.SalesWrite, s.refundPayment),
		at("POST", "/payments/:payment/confirm", identity.SalesWrite, s.confirmTransfer),
		at("POST", "/payments/:payment/refresh", identity.SalesRead, s.refreshPayment),
		at("POST", "/refunds/:refund/confirm", identity.SalesWrite, s.confirmRefund),
	}...)
}

// statusOfPayment is a payment's state in words.
func statusOfPayment(p payment.Payment) map[string]any {
	switch p.State {
	case gateway.Succeeded:
		switch {
		case p.Refunded.Minor == 0:
			return office.Status("good", "Received")
		case p.Refunded == p.Amount:
			return office.Status("idle", "Given back")
		}
		return office.Status("good", "Received, partly given back")
	case gateway.Failed:
		return office.Status("bad", "Declined")
	case gateway.Cancelled:
		return office.Status("idle", "Given up")
	case gateway.Processing:
		if p.Gateway == transfer.Code {
			return office.Status("warn", "Transfer awaited")
		}
		return office.Status("busy", "Under way")
	}
	return office.Status("info", "Customer has not finished")
}

// gatewayNames says how a payment was made.
func gatewayName(code string) string {
	switch code {
	case stripeCode:
		return "Card"
	case payment.Platform:
		return "Card, by the platform"
	case paypalCode:
		return "PayPal"
	case coinbaseCode:
		return "USDC"
	case transfer.Code:
		return "Bank transfer"
	}
	return "Sandbox"
}

type paymentLine struct {
	payment.Payment
	Status map[string]any
	By     string
}

func lineOf(p payment.Payment) paymentLine {
	return paymentLine{p, statusOfPayment(p), gatewayName(p.Gateway)}
}

type paymentsView struct {
	List  table.Request
	Rows  []paymentLine
	Total int
}

// listPayments handles GET /manage/payments.
func (s *Site) listPayments(c *fiber.Ctx) error {
	r := table.Read(c, "state", "gateway")
	f := payment.Filter{Text: r.Text, State: gateway.State(r.Filters["state"]), Gateway: r.Filters["gateway"], Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	switch f.State {
	case "disputed":
		f.State, f.Disputed = "", true
	case "refund_waiting":
		f.State, f.RefundWaiting = "", true
	}
	fetch := func(offset, limit int) (found []payment.Payment, total int, err error) {
		f.Offset, f.Limit = offset, limit
		err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
			found, err = payment.List(c.UserContext(), tx, f)
			return err
		})
		if len(found) > 0 {
			total = found[0].Total
		}
		return found, total, err
	}
	if r.CSV {
		all, err := table.Collect(fetch)
		if err != nil {
			return err
		}
		rows := make([][]string, len(all))
		for i, p := range all {
			rows[i] = []string{table.Time(p.CreatedAt), p.Invoice, p.AccountName, gatewayName(p.Gateway), p.Amount.Decimal(), p.Refunded.Decimal(), p.Amount.Currency, string(p.State), p.Ref}
		}
		return table.CSV(c, "payments", []string{"begun", "invoice", "account", "by", "amount", "given back", "currency", "state", "reference"}, rows)
	}
	found, total, err := fetch(f.Offset, f.Limit)
	if err != nil {
		return err
	}
	v := paymentsView{List: r, Total: total}
	for _, p := range found {
		v.Rows = append(v.Rows, lineOf(p))
	}
	return surface.Render(c, "manage", "manage/payments", "Payments", v)
}

type refundLine struct {
	payment.Refund
	Status map[string]any
	ByHand bool // waits for somebody to say that it was sent
}

type paymentView struct {
	P        paymentLine
	Refunds  []refundLine
	Disputes []disputeRow
	Left     billing.Money
	MayEdit  bool
	ByHand   bool   // its money is confirmed by a person
	Once     string // names the refund of this form, so that it is given back once
	Amount   string // as typed
	Reason   string
	Note     bool
}

func (s *Site) readPayment(c *fiber.Ctx) (v paymentView, err error) {
	id, err := pathID(c, "payment", errNoPayment)
	if err != nil {
		return v, err
	}
	var p payment.Payment
	var refunds []payment.Refund
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if p, err = payment.Get(c.UserContext(), tx, id); err != nil {
			return err
		}
		refunds, err = payment.Refunds(c.UserContext(), tx, id)
		return err
	})
	if err != nil {
		return v, err
	}
	who, _ := surface.Principal(c)
	once, err := uuid.NewV7()
	if err != nil {
		return v, err
	}
	v = paymentView{P: lineOf(p), Disputes: disputeRows([]payment.Payment{p}), Left: p.Left(), MayEdit: who.May(identity.SalesWrite), Once: once.String(), Note: true}
	v.ByHand = p.Gateway == transfer.Code && p.State != gateway.Succeeded && p.State != gateway.Failed
	v.Amount = v.Left.Decimal()
	if v.ByHand {
		v.Amount = p.Amount.Decimal()
	}
	for _, r := range refunds {
		v.Refunds = append(v.Refunds, refundLine{r, statusOfRefund(r), p.Gateway == transfer.Code && !r.State.Final()})
	}
	return v, nil
}

func statusOfRefund(r payment.Refund) map[string]any {
	switch r.State {
	case gateway.Succeeded:
		return office.Status("good", "Given back")
	case gateway.Failed:
		return office.Status("bad", "Failed")
	}
	return office.Status("busy", "On its way")
}

// showPayment handles GET /manage/payments/:payment.
func (s *Site) showPayment(c *fiber.Ctx) error {
	v, err := s.readPayment(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/payment", "Payment of "+v.P.Invoice, v)
}

// typedAmount reads an amount strictly, with the fault at the field.
func typedAmount(c *fiber.Ctx, currency string) (billing.Money, error) {
	m, err := billing.Parse(strings.TrimSpace(c.FormValue("amount")), currency)
	if err != nil {
		return m, fault.Field("amount", "payment.not_an_amount", "Write an amount such as 12.50, with a point and no currency.")
	}
	return m, nil
}

// refundPayment handles POST /manage/payments/:payment/refund.
func (s *Site) refundPayment(c *fiber.Ctx) error {
	v, err := s.readPayment(c)
	if err != nil {
		return err
	}
	at := "/manage/payments/" + v.P.ID.String()
	v.Amount, v.Reason, v.Note = table.Text(c.FormValue("amount"), 40), table.Text(c.FormValue("reason"), 300), c.FormValue("credit_note") == "on"
	once, err := uuid.Parse(c.FormValue("once"))
	if err != nil {
		return surface.Redirect(c, at, "")
	}
	v.Once = once.String()
	amount, err := typedAmount(c, v.P.Amount.Currency)
	if err == nil && strings.TrimSpace(v.Reason) == "" {
		err = fault.Field("reason", "refund.no_reason", "Say why. It stands on the credit note and in the trail.")
	}
	if err == nil {
		_, err = s.Payments.GiveBack(c.UserContext(), surface.DB(c), payment.RefundRequest{
			Key: "refund/" + v.P.ID.String() + "/" + once.String(), PaymentID: v.P.ID, Amount: amount, Reason: v.Reason, CreditNote: v.Note,
		}, office.By(c))
	}
	if err != nil {
		return surface.FormError(c, err, "manage", "manage/payment", "Payment of "+v.P.Invoice, v)
	}
	return surface.Redirect(c, at, amount.Format("en")+" are on their way back to the customer.")
}

// confirmTransfer handles POST /manage/payments/:payment/confirm.
func (s *Site) confirmTransfer(c *fiber.Ctx) error {
	v, err := s.readPayment(c)
	if err != nil {
		return err
	}
	v.Amount = table.Text(c.FormValue("amount"), 40)
	amount, err := typedAmount(c, v.P.Amount.Currency)
	var booked payment.Payment
	if err == nil {
		booked, err = payment.ConfirmTransfer(c.UserContext(), surface.DB(c), v.P.ID, amount, office.By(c))
	}
	if err != nil {
		return surface.FormError(c, err, "manage", "manage/payment", "Payment of "+v.P.Invoice, v)
	}
	return surface.Redirect(c, "/manage/payments/"+v.P.ID.String(), bookedWords(v.P.Payment, booked, amount))
}

// bookedWords says what became of money that came.
func bookedWords(was, is payment.Payment, amount billing.Money) string {
	if is.InvoiceID != was.InvoiceID {
		return "Booked: " + amount.Format("en") + " came for invoice " + was.Invoice + ", which was cancelled. They are credit now (" + is.Invoice + ")."
	}
	return "Booked: " + amount.Format("en") + " came for invoice " + was.Invoice + "."
}

// refreshPayment handles POST /manage/payments/:payment/refresh.
func (s *Site) refreshPayment(c *fiber.Ctx) error {
	id, err := pathID(c, "payment", errNoPayment)
	if err != nil {
		return err
	}
	p, _, err := s.Payments.Refresh(c.UserContext(), surface.DB(c), id)
	if err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/payments/"+p.ID.String(), "This is how it stands now.")
}

// confirmRefund handles POST /manage/refunds/:refund/confirm.
func (s *Site) confirmRefund(c *fiber.Ctx) error {
	id, err := pathID(c, "refund", fault.New(fault.NotFound, "refund.not_found", "There is no such refund."))
	if err != nil {
		return err
	}
	if err := payment.ConfirmRefund(c.UserContext(), surface.DB(c), id, office.By(c)); err != nil {
		return office.Refused(c, err, "/manage/payments")
	}
	return surface.Redirect(c, "/manage/payments", "Booked: the money was sent back.")
}
