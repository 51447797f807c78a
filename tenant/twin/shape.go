// Package twin is what a copy of a shop is made of and what came of it: which rows a
// sandbox twin takes of its original and without what, what is done to them, and the report
// of the months it has lived. It owns no table of its own; see central/twin for the list of
// twins and tenancy.Copy for the copying.
package twin

import (
	"slices"
	"strings"

	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// Making is how a twin is made of its original.
type Making struct {
	Names   bool           // customers keep their names and addresses
	Cards   sandbox.Seeded // how saved methods behave
	Raise   int            // on prices, in parts of a million; negative: off
	Running bool           // also for what runs
	Leave   int            // of a million customers whom the raise concerns, so many cancel
}

// taken are the tables something is taken of. Of any other nothing is: how people and
// programs prove who they are, whom outside would be told, what hangs on the outside world,
// the trail of another shop, and whatever nobody has thought of here.
func taken() []string {
	return []string{
		"people", "accounts", "memberships", "mails", "brand_versions", "products", "plans", "prices", "options", "shop_settings", "mail_texts", "timeline",
		"quotes", "orders", "subscriptions", "services", "number_series", "tax_rates", "invoices", "invoice_lines", "gateways", "payment_methods", "payments",
		"refunds", "ledger_postings", "recognitions", "coupons", "price_changes", "agreed_prices", "credit_grants", "credit_moves", "gift_codes",
		"meters", "usage_events", "usage_totals", "usage_marks",
	}
}

// shaped is what is done to the columns of one table, and which of its rows are taken.
type shaped struct {
	columns map[string]string // SQL in place of the column
	where   string
}

// who is what a person or an account is called that has lost its name.
const who = "substr(replace(%id%::text, '-', ''), 21)"

func named(prefix, id string) string {
	return "'" + prefix + "' || " + strings.ReplaceAll(who, "%id%", id)
}

const masked = `regexp_replace(tax_id, '[0-9]', '0', 'g')`

// usedSince is from when usage is taken: the month under way of each subscription, which is
// invoiced in the twin, and the full one before, which is told anew.
const usedSince = "(SELECT max(t.period_from) FROM usage_totals t) - interval '64 days'"

// ofPrograms is what a program told that may name people, where they lose their names.
const ofPrograms = "CASE WHEN mark <> '' AND meter_id IN (SELECT m.id FROM meters m WHERE m.feed = 'api') THEN md5(mark) ELSE mark END"

// rules are those of every twin.
func (m Making) rules() map[string]shaped {
	choice := "'" + m.Cards.Choice() + "/'"
	return map[string]shaped{
		"people": {columns: map[string]string{
			"password_hash": "NULL", "totp_secret": "NULL", "totp_confirmed_at": "NULL", "totp_last_step": "0", "session_epoch": "0",
		}},
		"services": {columns: map[string]string{
			"platform_id": "'" + hosting.SandboxPlatform.String() + "'::uuid", "ref": "CASE WHEN ref <> '' THEN 'copied-' || id ELSE '' END",
			"sealed_credentials": "NULL", "lease": "NULL", "leased_until": "NULL", "ssh_keys": "'[]'::jsonb",
			"address": "CASE WHEN address <> '' THEN '192.0.2.1' ELSE '' END", "addresses": "'[]'::jsonb",
			// What is being created goes on; anything else that is under way at a platform ends here.
			"operation": "CASE WHEN operation = 'create' THEN operation ELSE '' END", "step": "CASE WHEN operation = 'create' THEN step ELSE '' END",
			"operation_key":   "CASE WHEN operation = 'create' THEN operation_key END",
			"operation_since": "CASE WHEN operation = 'create' THEN operation_since END", "operation_args": "'{}'::jsonb",
			"problem": "''", "attempts": "0",
			"next_at": "CASE WHEN operation = 'create' OR desired::text <> observed::text AND observed <> 'gone' THEN changed_at END",
		}},
		"payment_methods": {columns: map[string]string{
			"gateway": "'sandbox'", "customer_ref": "account_id::text", "ref": choice + " || id", "label": "'Test card'", "kind": "'card'", "fingerprint": "NULL", "expires_on": "NULL::date",
			"state": "CASE WHEN state = 'removed' THEN state ELSE 'active' END",
		}},
		"payments": {columns: map[string]string{
			"gateway": "'sandbox'", "disputes": "NULL::jsonb", "decline_text": "''",
			"state":      "CASE WHEN state IN ('created', 'requires_action', 'processing') THEN 'cancelled' ELSE state END",
			"settled_at": "CASE WHEN state IN ('created', 'requires_action', 'processing') THEN changed_at ELSE settled_at END",
			"ref":        `'sbp_' || rtrim(translate(replace(encode(convert_to(jsonb_build_object('k', key, 'a', amount_minor, 'c', currency)::text, 'UTF8'), 'base64'), E'\n', ''), '+/', '-_'), '=')`,
		}},
		"refunds": {columns: map[string]string{
			"ref": "NULL", "problem": "''", "created_by": "'somebody'", "reason": "''",
			"state": "CASE WHEN state IN ('created', 'processing') THEN 'failed' ELSE state END",
		}},
		"gateways": {columns: map[string]string{
			"state": "'off'", "sealed_settings": "NULL::bytea", "public_settings": "'{}'::jsonb", "checked_at": "NULL::timestamptz", "check_error": "''",
		}, where: "code <> 'sandbox'"},
		"plans":          {columns: map[string]string{"held": "NULL::jsonb"}},
		"accounts":       {columns: map[string]string{"referral": "referral - '{network,decided_by}'::text[]"}},
		"credit_grants":  {columns: map[string]string{"created_by": "'somebody'"}},
		"credit_moves":   {columns: map[string]string{"actor": "'somebody'"}},
		"gift_codes":     {columns: map[string]string{"created_by": "'somebody'", "batch": "CASE WHEN batch <> '' THEN 'A batch' ELSE '' END"}},
		"invoices":       {columns: map[string]string{"evidence": "evidence - 'ip'"}},
		"orders":         {columns: map[string]string{"ip": "''", "evidence": "evidence - 'ip'"}},
		"quotes":         {where: "accepted_at IS NOT NULL"},
		"mails":          {columns: map[string]string{"sealed_body": "NULL", "last_error": "NULL"}, where: "state = 'sent' AND (key LIKE 'invoice/%' AND created_at > now() - interval '60 days' OR key LIKE 'price_change/%')"},
		"brand_versions": {columns: map[string]string{"tokens": "tokens - '{logo,logo_dark,favicon}'::text[]", "preview_hash": "NULL", "preview_expires_at": "NULL", "created_by": "'somebody'", "published_by": "CASE WHEN published_by IS NOT NULL THEN 'somebody' END"}},
		"timeline":       {columns: map[string]string{"actor": "CASE WHEN actor = 'system' THEN actor ELSE 'somebody' END"}},
		"usage_events":   {where: "period_from >= " + usedSince},
		"usage_totals":   {where: "period_from >= " + usedSince},
		"usage_marks":    {where: "period_from >= " + usedSince + " OR period_from = '-infinity' AND (stopped_at IS NULL OR stopped_at >= " + usedSince + ")"},
		"mail_texts":     {columns: map[string]string{"changed_by": "'somebody'"}},
		"agreed_prices":  {columns: map[string]string{"note": "''"}},
	}
}

// nameless are the rules of a twin whose customers lose their names, besides.
func nameless() map[string]shaped {
	name := named("Customer ", "id")
	mailbox := named("customer-", "id") + " || '@example.invalid'"
	billing := `CASE WHEN billing IS NULL THEN NULL ELSE billing || jsonb_build_object('name', ` + name + `, 'company', CASE WHEN coalesce(billing->>'company', '') <> '' THEN ` + name + ` ELSE '' END,
		'line1', 'Example Street 1', 'line2', '', 'postcode', '00000', 'city', 'Example', 'email', ` + mailbox + `, 'phone', '') END`
	plain := ` regexp_replace(%c%, ' \([^()]*\)$', '')`
	return map[string]shaped{
		"people": {columns: map[string]string{
			"email":     "CASE WHEN world = 'customer' THEN " + mailbox + " ELSE email END",
			"email_key": "CASE WHEN world = 'customer' THEN " + mailbox + " ELSE email_key END",
			"name":      "CASE WHEN world = 'customer' THEN " + name + " ELSE name END",
		}},
		"accounts": {columns: map[string]string{
			"name": name, "billing": billing, "tax_id": masked, "notify": "NULL::jsonb",
			"tax_check":     `CASE WHEN tax_check IS NULL THEN NULL ELSE (tax_check - '{name,address,request,problem}'::text[]) || jsonb_build_object('number', upper(regexp_replace(` + masked + `, '[ .\-]', '', 'g'))) END`,
			"tax_exemption": `CASE WHEN tax_exemption IS NULL THEN NULL ELSE tax_exemption || '{"number": "twin"}'::jsonb END`,
		}},
		"services": {columns: map[string]string{"name": "label", "hostname": named("host-", "id"), "holds": "(SELECT coalesce(jsonb_object_agg(h.key, 'as in the original'), '{}') FROM jsonb_each_text(holds) h)"}},
		"invoices": {columns: map[string]string{"evidence": "NULL::jsonb", "document": `CASE WHEN document IS NULL THEN NULL ELSE document || jsonb_build_object(
			'buyer', jsonb_strip_nulls(jsonb_build_object('name', ` + named("Customer ", "account_id") + `, 'country', document->'buyer'->'country', 'region', document->'buyer'->'region',
				'tax_id', regexp_replace(document->'buyer'->>'tax_id', '[0-9]', '0', 'g'), 'email', ` + named("customer-", "account_id") + ` || '@example.invalid')),
			'lines', (SELECT coalesce(jsonb_agg(l.value || jsonb_build_object('description',` + strings.ReplaceAll(plain, "%c%", "l.value->>'description'") + `) ORDER BY l.ordinality), '[]') FROM jsonb_array_elements(document->'lines') WITH ORDINALITY l)) - '{reason,buyer_reference}'::text[] END`}},
		"invoice_lines": {columns: map[string]string{"description": strings.ReplaceAll(plain, "%c%", "description")}},
		"mails":         {columns: map[string]string{"to_address": "'customer@example.invalid'", "subject": "''"}},
		"timeline":      {columns: map[string]string{"text": "kind"}},
		"subscriptions": {columns: map[string]string{"cancel_note": "''"}},
		"credit_grants": {columns: map[string]string{"note": "''"}},
		"usage_events":  {columns: map[string]string{"mark": ofPrograms, "attributes": "NULL::jsonb"}},
		"usage_marks":   {columns: map[string]string{"mark": ofPrograms}},
	}
}

// Shape says what is taken of a table. A column that is sealed is never taken, whatever
// table it is in: what sealed it named the original.
func (m Making) Shape(table string, columns []string) tenancy.CopyTable {
	if !slices.Contains(taken(), table) {
		return tenancy.CopyTable{}
	}
	rule := m.rules()[table]
	exprs := map[string]string{}
	for c, e := range rule.columns {
		exprs[c] = e
	}
	if !m.Names {
		for c, e := range nameless()[table].columns {
			exprs[c] = e
		}
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = quoted(c)
		if strings.HasPrefix(c, "sealed_") {
			list[i] = "NULL"
		}
		if e, ok := exprs[c]; ok {
			list[i] = e
		}
	}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + quoted(table)
	if rule.where != "" {
		query += " WHERE " + rule.where
	}
	if table == "gateways" {
		query += " UNION ALL SELECT " + strings.Join(offered(columns), ", ")
	}
	return tenancy.CopyTable{Query: query, Columns: columns}
}

// offered is the one gateway a twin takes money with.
func offered(columns []string) []string {
	row := map[string]string{"code": "'sandbox'", "state": "'on'", "public_settings": "'{}'::jsonb", "check_error": "''", "position": "1", "changed_at": "now()"}
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = "NULL"
		if v, ok := row[c]; ok {
			values[i] = v
		}
	}
	return values
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
