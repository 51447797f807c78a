package mail

// The letters there are.
const (
	VerifyAddress     = "verify_address"
	ResetPassword     = "reset_password"
	Invitation        = "invitation"
	AccountInvitation = "account_invitation" // of a customer, into an account
	MembershipChanged = "membership_changed" // of an account: another role, or none any more
	AddressKnown      = "address_known"      // somebody signed up with an address that has an account
	NewSignIn         = "new_sign_in"
	DomainVerified    = "domain_verified"
	DomainActive      = "domain_active"
	DomainFailing     = "domain_failing"
	DomainDrifted     = "domain_drifted"
	DomainTaken       = "domain_taken"
	ResellerWelcome   = "reseller_welcome"
	ShopOpened        = "shop_opened"      // to who opened a shop at the partner centre, from the shop
	PartnerWelcome    = "partner_welcome"  // the same, from the platform
	ResellerArrears   = "reseller_arrears" // an unpaid invoice has consequences, or has them no more
	Alert             = "alert"            // to staff
	SignInCode        = "sign_in_code"     // proves a mailbox within a page
	OrderReceived     = "order_received"
	OrderCancelled    = "order_cancelled"
	InvoiceIssued     = "invoice_issued"
	PaymentReceived   = "payment_received"
	CreditNote        = "credit_note"
	CreditAdded       = "credit_added"     // to an account: it has credit
	RefundFound       = "refund_found"     // to the reseller's team: made at the gateway's own pages
	PaymentDisputed   = "payment_disputed" // to the reseller's team
	NumberRefused     = "number_refused"   // to the reseller's team: a customer's VAT number

	WholesaleInvoice = "wholesale_invoice" // from the platform to a reseller
	WholesalePaid    = "wholesale_paid"
	WholesaleFailed  = "wholesale_failed"
	WholesaleDue     = "wholesale_due"
	WholesaleLimit   = "wholesale_limit"   // a reseller comes near its credit limit, or has reached it
	WholesaleFull    = "wholesale_full"    // an order was refused: the tier gives no service more
	WholesaleBalance = "wholesale_balance" // what a reseller paid ahead comes to its end
	WholesalePayout  = "wholesale_payout"  // money of the balance was sent to the reseller, or where to was changed
	WholesaleTopUp   = "wholesale_topup"   // money was paid ahead, could not be, or goes back
	WholesaleAnswer  = "wholesale_answer"  // to a reseller's question about a line

	RenewalUpcoming        = "renewal_upcoming"
	SubscriptionEnds       = "subscription_ends" // it was cancelled
	TrialEnding            = "trial_ending"
	InvoiceDue             = "invoice_due" // to who has no payment method
	PaymentFailed          = "payment_failed"
	DebitAnnounced         = "debit_announced" // before a bank account is collected from
	DebitMandate           = "debit_mandate"   // what the owner of a bank account agreed to
	ServiceSuspendedUnpaid = "service_suspended_unpaid"
	SubscriptionCancelled  = "subscription_cancelled"
	SubscriptionEnding     = "subscription_ending" // of what is off because it is not paid
	SubscriptionEnded      = "subscription_ended"
	MoreTime               = "more_time" // a week more to pay
	SubscriptionPaused     = "subscription_paused"
	SubscriptionStayed     = "subscription_stayed" // the customer took an offer in place of cancelling
	SubscriptionContinued  = "subscription_continued"
	PlanChanged            = "plan_changed"
	ChangeFailed           = "change_failed"
	PriceChange            = "price_change" // a new price is coming
	PriceChangeCancelled   = "price_change_cancelled"
	PriceAgreed            = "price_agreed"
	QuotaNear              = "quota_near"  // what a plan includes comes to its end
	SpendLimit             = "spend_limit" // usage comes near what a customer wants to spend
)

// The letters about services.
const (
	ServiceReady     = "service_ready"
	ServiceFailed    = "service_failed"  // to the reseller's team
	ServiceByHand    = "service_by_hand" // to the reseller's team: what is to be done
	AddonBought      = "addon_bought"    // to the reseller's team: what was bought once
	ServiceSuspended = "service_suspended"
	ServiceReleased  = "service_released"
	ServiceGone      = "service_gone"
)

// Templates is what each letter needs. Every key must be given; a value may be empty
// where the words allow it (a name, a reason).
var Templates = map[string][]string{
	VerifyAddress:     {"name", "link", "valid_for"},            // valid_for: "24 hours"
	ResetPassword:     {"name", "link", "valid_for", "ip"},      // ip: who asked
	Invitation:        {"name", "inviter", "link", "valid_for"}, // to a team
	AccountInvitation: {"inviter", "account", "role", "link", "valid_for"},
	MembershipChanged: {"name", "account", "role", "inviter", "link"}, // role: empty when they were removed; inviter: who did it
	AddressKnown:      {"name", "link"},                               // link: to sign in
	NewSignIn:         {"name", "when", "ip", "device", "link"},       // link: security settings
	DomainVerified:    {"name", "host", "link"},                       // link: the domain's page
	DomainActive:      {"name", "host", "link"},                       //
	DomainFailing:     {"name", "host", "reason", "link"},             //
	DomainDrifted:     {"name", "host", "reason", "until", "link"},    // until: when the shop stops answering there
	DomainTaken:       {"name", "host", "link"},                       // another shop proved that it owns the name
	ResellerWelcome:   {"name", "shop", "host", "link", "valid_for"},
	ShopOpened:        {"name", "shop", "host", "link"},                     // link: /manage
	PartnerWelcome:    {"name", "shop", "host", "until", "link"},            // until: end of the trial
	ResellerArrears:   {"name", "shop", "restriction", "since", "link"},     // restriction: empty when it ended
	Alert:             {"title", "text", "who", "facts", "when", "link"},    // facts: a line each; may be empty
	SignInCode:        {"name", "code", "valid_for", "link"},                // link: the page that waits
	OrderReceived:     {"name", "number", "what", "total", "link"},          // what: "Cloud VPS Drift and 2 more"; link: the order's page
	OrderCancelled:    {"name", "number", "what", "reason", "paid", "link"}, // paid: "yes" when money was taken
	InvoiceIssued:     {"name", "number", "total", "due", "open", "link"},   // due: a date; open: what is owed, empty: nothing
	PaymentReceived:   {"name", "number", "amount", "open", "link"},         // open: what is still owed, empty: nothing
	CreditNote:        {"name", "number", "invoice", "total", "reason", "link"},
	CreditAdded:       {"name", "amount", "what", "reason", "until", "link"}, // what: a top-up, a refund; reason: in the shop's words; until: the last day, empty: it stays
	NumberRefused:     {"name", "customer", "number", "link"},
	RefundFound:       {"name", "number", "customer", "amount", "link"},
	PaymentDisputed:   {"name", "number", "customer", "amount", "state", "until", "by", "link"}, // state: a sentence; until: when evidence is due, empty: none is awaited; by: platform when it took the payment

	ServiceReady:     {"name", "service", "address", "link"},
	ServiceFailed:    {"name", "service", "customer", "problem", "link"},
	ServiceByHand:    {"name", "service", "customer", "task", "link"}, // task: deliver it
	AddonBought:      {"name", "service", "customer", "what", "link"}, // what: "We move you: 2"; link: /manage/subscriptions/…
	ServiceSuspended: {"name", "service", "reason", "link"},
	ServiceReleased:  {"name", "service", "link"},
	ServiceGone:      {"name", "service", "reason", "link"},
	WholesaleInvoice: {"name", "number", "total", "due", "open", "link"}, // open: what is owed, empty: nothing
	WholesalePaid:    {"name", "number", "amount", "link"},
	WholesaleDue:     {"name", "number", "open", "due", "link"},
	WholesaleLimit:   {"name", "shop", "used", "limit", "stage", "link"}, // stage: near or reached
	WholesaleFull:    {"name", "shop", "services", "link"},
	WholesaleBalance: {"name", "shop", "held", "used", "stage", "auto", "link"},                      // stage: near or reached; auto: what is taken from the card, empty: nothing
	WholesalePayout:  {"name", "shop", "state", "amount", "reference", "account", "balance", "link"}, // state: done or account
	WholesaleTopUp:   {"name", "shop", "state", "amount", "balance", "reason", "auto", "link"},       // state: done, failed or back; auto: off when it is not tried again
	WholesaleAnswer:  {"name", "number", "line", "state", "text", "credit", "link"},                  // state: accepted, declined or empty; credit: of the credit note, empty: there is none
	WholesaleFailed:  {"name", "number", "amount", "reason", "next", "link"},                         // next: when it is tried again, empty: it is not

	RenewalUpcoming:        {"name", "what", "amount", "total", "on", "due", "until", "method", "usage", "link", "unsubscribe"}, // due: a date, empty: the one on which it renews; unsubscribe: the path of a link to do without such letters, empty: there is none; amount: net; total: with tax; on, until: dates; method: it is collected from, empty: it is paid by hand; usage: yes when what was used is added; link: the subscription's page
	SubscriptionEnds:       {"name", "what", "ends", "link"},                                                                    // ends: a date
	TrialEnding:            {"name", "what", "amount", "every", "on", "card", "link"},                                           // amount: net; card: yes when it is paid by itself, otherwise empty
	InvoiceDue:             {"name", "what", "number", "open", "due", "off", "fee", "fee_on", "week", "link"},                   // off: when it is turned off; fee, fee_on: what is added then, empty: nothing; week: yes when a week more can be had; link: to pay
	PaymentFailed:          {"name", "what", "number", "amount", "reason", "next", "ask", "week", "link"},                       // next: a date, empty: it is not tried again; ask: replace (the method), confirm (with the bank), or empty
	DebitAnnounced:         {"name", "number", "amount", "on", "method", "reference", "link"},                                   // on: the date; reference: of the mandate
	DebitMandate:           {"name", "method", "reference", "text", "link"},
	ServiceSuspendedUnpaid: {"name", "what", "number", "open", "ends", "link"}, // ends: when it is deleted
	SubscriptionCancelled:  {"name", "what", "ends", "link"},
	SubscriptionEnding:     {"name", "what", "number", "open", "ends", "link"},                     // ends: when it is deleted
	MoreTime:               {"name", "what", "number", "open", "next", "off", "link"},              // next: when it is charged, empty: it is not; off: when it is turned off
	SubscriptionStayed:     {"name", "what", "off", "price", "full", "link"},                       // off: 30 % off the next 2 invoices
	SubscriptionPaused:     {"name", "what", "until", "reason", "link"},                            // reason: may be empty
	SubscriptionContinued:  {"name", "what", "until", "link"},                                      // until: paid until
	SubscriptionEnded:      {"name", "what", "reason", "link"},                                     // reason: cancelled, unpaid or taken_back
	PlanChanged:            {"name", "what", "amount", "every", "next", "link"},                    // amount: net, a cycle; next: the date of the next invoice
	ChangeFailed:           {"name", "what", "wanted", "paid", "link"},                             // paid: yes when money goes back; empty: nothing was paid
	PriceChange:            {"name", "subject", "list", "first", "link"},                           // list: a line each, with the price until then, the new one and its day; first: the first of the days
	PriceChangeCancelled:   {"name", "subject", "list", "link"},                                    // list: a line each, with what it goes on costing
	PriceAgreed:            {"name", "subject", "list", "until", "link"},                           // until: the last day, empty: it has none
	QuotaNear:              {"name", "what", "meter", "percent", "used", "limit", "until", "link"}, // meter: its name; used, limit: with their unit; link: where the plan is changed
	SpendLimit:             {"name", "what", "percent", "spent", "limit", "until", "off", "link"},  // spent, limit: net; until: a date; off: yes when it was turned off, otherwise empty
}
