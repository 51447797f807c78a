package wholesale

// termsCTE is who is billed, for which month, and each one's times on a tier in it. It has
// the arguments of ratedCTE up to ?2.
const termsCTE = `WITH who AS MATERIALIZED (
	SELECT w.tenant_id, w.invoice_id FROM jsonb_to_recordset(?0::jsonb) AS w(tenant_id bigint, invoice_id uuid)
), month AS (
	SELECT ?1::timestamptz AS a, ?2::timestamptz AS b, ` + monthMicros + ` AS micros
), terms AS MATERIALIZED ( -- each reseller's times on a tier in the month; the tier is as it was when the month began
	SELECT x.tenant_id, x.tier, x.currency, ti.name, ti.fee_minor, (ti.discount_percent * 10000)::bigint AS ppm,
		(ti.commission_percent * 10000)::bigint AS commission_ppm, ti.minimum_minor,
		greatest(x.valid_from, ti.valid_from, m.a) AS a, least(x.ends, m.b) AS b
	FROM (SELECT tt.tenant_id, tt.tier, tt.currency, tt.valid_from,
			coalesce(lead(tt.valid_from) OVER (PARTITION BY tt.tenant_id ORDER BY tt.valid_from), 'infinity') AS ends
		FROM tenant_terms tt JOIN who USING (tenant_id)) x
	CROSS JOIN month m
	JOIN tiers ti ON ti.tier = x.tier AND ti.currency = x.currency AND (ti.valid_to IS NULL OR ti.valid_to > m.a)
		AND (ti.valid_from <= m.a OR NOT EXISTS (SELECT FROM tiers tb WHERE tb.tier = ti.tier AND tb.currency = ti.currency AND tb.valid_from < ti.valid_from))
	WHERE greatest(x.valid_from, ti.valid_from, m.a) < least(x.ends, m.b)
)`

// monthMicros is how long the month is that a price is for: longer than the time that is
// billed where the bill day changed; see billing.MonthLength.
const monthMicros = `(extract(epoch FROM ((?1::timestamptz AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' - ?1::timestamptz) * 1000000)::numeric`

// The run's rules as SQL over the whole of a batch of resellers at once. The same rules
// as billing.BillUsage, which tests hold them to.
//
// Arguments of every statement made from it: ?0 the batch as JSON ({tenant_id,
// invoice_id}), ?1 and ?2 the month, ?3 up to when recorded, ?4 the first position, ?6 the
// batch's resellers once more as a list: of a list the planner knows how much of the
// ledger it is, and leaves the rest of it alone.
const ratedCTE = termsCTE + `, stays AS ( -- from each start or change to what follows it
	SELECT e.tenant_id, e.subject, e.sku, e.quantity, e.at AS a, coalesce(e.next_at, m.b) AS b, e.key AS start_key, coalesce(e.next_key, '') AS stop_key
	FROM (SELECT u.tenant_id, u.subject, u.sku, u.kind, u.quantity, u.at, u.key, lead(u.at) OVER w AS next_at, lead(u.key) OVER w AS next_key
		FROM usage_events u
		WHERE u.tenant_id = ANY (?6::bigint[]) AND u.kind <> 'quantity' AND u.at < ?2 AND u.recorded_at <= ?3
		WINDOW w AS (PARTITION BY u.tenant_id, u.subject
			ORDER BY u.at, u.recorded_at, CASE u.kind WHEN 'start' THEN 0 WHEN 'change' THEN 1 ELSE 2 END, u.key COLLATE "C")) e
	CROSS JOIN month m
	WHERE e.kind <> 'stop' AND coalesce(e.next_at, m.b) > m.a
), owners AS MATERIALIZED ( -- who has a price of its own for what
	SELECT DISTINCT o.tenant_id, o.sku, o.currency FROM wholesale_overrides o WHERE o.tenant_id = ANY (?6::bigint[])
), keys AS ( -- what prices are looked up by: the tier, and for its owners the reseller
	SELECT DISTINCT 0::bigint AS own, tier, currency, '' AS sku FROM terms
	UNION ALL SELECT DISTINCT t.tenant_id, t.tier, t.currency, o.sku FROM terms t JOIN owners o USING (tenant_id, currency)
), cuts AS ( -- every moment of the month at which a price may change
	SELECT DISTINCT p.sku, k.own, k.tier, k.currency, v.at
	FROM keys k CROSS JOIN month m
	JOIN (SELECT 0::bigint AS own, sku, tier, currency, valid_from, valid_to FROM wholesale_prices
		UNION ALL SELECT o.tenant_id, o.sku, '', o.currency, o.valid_from, o.valid_to FROM wholesale_overrides o WHERE o.tenant_id = ANY (?6::bigint[])) p
		ON p.currency = k.currency AND p.tier IN ('', k.tier) AND p.own IN (0, k.own) AND k.sku IN ('', p.sku)
	CROSS JOIN LATERAL (VALUES (m.a), (p.valid_from), (p.valid_to)) v(at)
	WHERE v.at >= m.a AND v.at < m.b
), prices AS MATERIALIZED (
	SELECT c.sku, c.own, c.tier, c.currency, c.at AS a, coalesce(lead(c.at) OVER (PARTITION BY c.sku, c.own, c.tier, c.currency ORDER BY c.at), m.b) AS b,
		coalesce((SELECT o.price_minor FROM wholesale_overrides o WHERE o.tenant_id = c.own AND o.sku = c.sku AND o.currency = c.currency
				AND o.valid_from <= c.at AND (o.valid_to IS NULL OR o.valid_to > c.at)),
			(SELECT p.price_minor FROM wholesale_prices p WHERE p.sku = c.sku AND p.currency = c.currency AND p.tier IN ('', c.tier)
				AND p.valid_from <= c.at AND (p.valid_to IS NULL OR p.valid_to > c.at) ORDER BY p.tier DESC LIMIT 1)) AS price
	FROM cuts c CROSS JOIN month m
), rated AS (
	SELECT 'fee' AS kind, '' AS sku, t.tenant_id, t.tier, t.name AS tier_name, t.currency, 0::bigint AS ppm, 'tier/' || t.tier AS subject, t.a,
		least(t.b, coalesce(n.archived_at, 'infinity')) AS b, 1::bigint AS quantity, t.fee_minor::numeric AS price, '' AS start_key, '' AS stop_key
	FROM terms t JOIN tenants n ON n.id = t.tenant_id
	WHERE t.fee_minor > 0 AND t.a < coalesce(n.archived_at, 'infinity')
	UNION ALL
	SELECT 'service', s.sku, s.tenant_id, t.tier, t.name, t.currency, t.ppm, s.subject, x.a, x.b, s.quantity, p.price,
		s.start_key, CASE WHEN x.b = s.b THEN s.stop_key ELSE '' END
	FROM stays s JOIN terms t ON t.tenant_id = s.tenant_id AND t.a < s.b AND t.b > s.a
	LEFT JOIN owners o ON o.tenant_id = s.tenant_id AND o.sku = s.sku AND o.currency = t.currency
	LEFT JOIN prices p ON p.sku = s.sku AND p.own = coalesce(o.tenant_id, 0) AND p.tier = t.tier AND p.currency = t.currency AND p.a < least(s.b, t.b) AND p.b > greatest(s.a, t.a)
	CROSS JOIN LATERAL (SELECT greatest(s.a, t.a, p.a) AS a, least(s.b, t.b, p.b) AS b) x -- both ignore what is null
	WHERE x.a < x.b
	UNION ALL
	SELECT 'metered', u.sku, u.tenant_id, t.tier, t.name, t.currency, t.ppm, u.subject, u.at, u.at, u.quantity, p.price, u.key, ''
	FROM usage_events u
	JOIN terms t ON t.tenant_id = u.tenant_id AND u.at >= t.a AND u.at < t.b
	LEFT JOIN owners o ON o.tenant_id = u.tenant_id AND o.sku = u.sku AND o.currency = t.currency
	LEFT JOIN prices p ON p.sku = u.sku AND p.own = coalesce(o.tenant_id, 0) AND p.tier = t.tier AND p.currency = t.currency AND u.at >= p.a AND u.at < p.b
	WHERE u.tenant_id = ANY (?6::bigint[]) AND u.kind = 'quantity' AND u.at >= ?1 AND u.at < ?2 AND u.recorded_at <= ?3
)`

// usedOf is what a row counts for in its line, in microseconds of the month or in units,
// and wholeOf what the price is for: the month, or one unit.
const (
	usedOf  = `(CASE r.kind WHEN 'metered' THEN r.quantity ELSE r.quantity * (extract(epoch FROM r.b - r.a) * 1000000)::bigint END)`
	wholeOf = `(CASE r.kind WHEN 'metered' THEN 1 ELSE m.micros END)`
)

// netOf is an adjusted line's amount: rounded once, half away from zero, exactly. All amounts here
// are positive; div truncates.
const netOf = `div(2 * sum(` + usedOf + `) * r.price + ` + wholeOf + `, 2 * ` + wholeOf + `)::bigint`

// lineOf is what makes rows one line of an invoice.
const lineOf = `r.tenant_id, r.kind, r.sku, r.tier, r.ppm, r.price`

// billSQL writes the evidence of a batch and answers with its lines. A line without a
// price is answered, and nothing written for it: the run then refuses. Lines are put in
// their order after they were summed: there are ten times as many rows as lines.
const billSQL = ratedCTE + `, subjects AS ( -- what each subject of a line comes to
	SELECT ` + lineOf + `, max(r.tier_name) AS tier_name, max(r.currency) AS currency, sum(` + usedOf + `) AS used, min(r.a) AS first_at
	FROM rated r GROUP BY ` + lineOf + `, r.subject
), sums AS (
	SELECT ` + lineOf + `, max(r.tier_name) AS tier_name, max(r.currency) AS currency, sum(r.used)::numeric AS used, count(*) AS subjects, min(r.first_at) AS first_at
	FROM subjects r GROUP BY ` + lineOf + `
), placed AS MATERIALIZED (
	SELECT r.*, ?4::int + row_number() OVER (PARTITION BY r.tenant_id
			ORDER BY CASE r.kind WHEN 'fee' THEN 0 WHEN 'service' THEN 1 ELSE 2 END, coalesce(s.position, 0), r.sku, r.tier, r.ppm, r.price)::int AS position,
		coalesce(s.name, r.sku) AS sku_name, coalesce(s.unit, '') AS unit, ` + wholeOf + ` AS whole
	FROM sums r CROSS JOIN month m LEFT JOIN skus s ON s.sku = r.sku
), kept AS (
	INSERT INTO wholesale_evidence (invoice_id, position, subject, from_at, to_at, quantity, share, price_minor, amount_minor, start_key, stop_key)
	SELECT w.invoice_id, p.position, r.subject, r.a, r.b, r.quantity,
		CASE r.kind WHEN 'metered' THEN 1 ELSE round((extract(epoch FROM r.b - r.a) * 1000000)::numeric / p.whole, 12) END, r.price,
		round(` + usedOf + ` * r.price / p.whole, 8), r.start_key, r.stop_key
	FROM rated r JOIN placed p ON (p.tenant_id, p.kind, p.sku, p.tier, p.ppm, p.price) = (` + lineOf + `) -- what has no price joins nothing
	JOIN who w ON w.tenant_id = r.tenant_id
)
SELECT p.tenant_id, p.position, p.kind, '' AS adjusts, p.sku, p.sku_name, p.unit, p.tier, p.tier_name, p.currency, p.ppm,
	coalesce(p.price::numeric(20, 8)::text, '') AS price_minor, round(p.used / p.whole, 8)::text AS quantity,
	coalesce(div(2 * p.used * p.price + p.whole, 2 * p.whole)::bigint, 0) AS net_minor, p.subjects, p.first_at
FROM placed p ORDER BY p.tenant_id, p.position`

// adjustSQL works a closed month out again for a batch, compares it with what was billed
// for it (in its own invoice and in adjustments since), writes the difference of the
// evidence and answers with the difference of each line. ?5 is the month's name.
const adjustSQL = ratedCTE + `, said AS ( -- what was billed for the month so far
	SELECT i.tenant_id, l.invoice_id, l.position, CASE l.kind WHEN 'adjustment' THEN l.adjusts ELSE l.kind END AS kind, l.sku, l.tier, l.price_minor, l.net_minor
	FROM wholesale_invoices i JOIN who USING (tenant_id) JOIN wholesale_lines l ON l.invoice_id = i.id
	WHERE l.period = ?5 AND ('service' IN (l.kind, l.adjusts) OR 'metered' IN (l.kind, l.adjusts))
), diff AS MATERIALIZED (
	SELECT x.tenant_id, x.kind, x.sku, x.tier, x.price, x.subject, x.a, x.b, x.start_key, x.stop_key, sum(x.quantity) AS quantity
	FROM (SELECT r.tenant_id, r.kind, r.sku, r.tier, r.price, r.subject, r.a, r.b, r.start_key, r.stop_key, r.quantity::numeric AS quantity
			FROM rated r WHERE r.kind <> 'fee' AND r.price IS NOT NULL
		UNION ALL
		SELECT s.tenant_id, s.kind, s.sku, s.tier, s.price_minor, e.subject, e.from_at, e.to_at, e.start_key, e.stop_key, -e.quantity
			FROM said s JOIN wholesale_evidence e ON e.invoice_id = s.invoice_id AND e.position = s.position) x
	GROUP BY x.tenant_id, x.kind, x.sku, x.tier, x.price, x.subject, x.a, x.b, x.start_key, x.stop_key
	HAVING sum(x.quantity) <> 0
), now AS (
	SELECT r.tenant_id, r.kind, r.sku, r.tier, r.price, ` + netOf + ` AS net FROM rated r CROSS JOIN month m
	WHERE r.kind <> 'fee' AND r.price IS NOT NULL GROUP BY r.tenant_id, r.kind, r.sku, r.tier, r.price, m.micros
), was AS (
	SELECT s.tenant_id, s.kind, s.sku, s.tier, s.price_minor AS price, sum(s.net_minor)::bigint AS net FROM said s
	GROUP BY s.tenant_id, s.kind, s.sku, s.tier, s.price_minor
), moved AS ( -- the lines that differ, in amount or only in their evidence
	SELECT v.* FROM (SELECT tenant_id, kind, sku, tier, price, coalesce(now.net, 0) - coalesce(was.net, 0) AS net
		FROM now FULL JOIN was USING (tenant_id, kind, sku, tier, price)) v
	WHERE v.net <> 0 OR EXISTS (SELECT FROM diff d WHERE (d.tenant_id, d.kind, d.sku, d.tier, d.price) = (v.tenant_id, v.kind, v.sku, v.tier, v.price))
), placed AS MATERIALIZED (
	SELECT v.*, ?4::int + row_number() OVER (PARTITION BY v.tenant_id ORDER BY v.kind DESC, coalesce(s.position, 0), v.sku, v.tier, v.price)::int AS position,
		coalesce(s.name, v.sku) AS sku_name, coalesce(s.unit, '') AS unit
	FROM moved v LEFT JOIN skus s ON s.sku = v.sku
), kept AS (
	INSERT INTO wholesale_evidence (invoice_id, position, subject, from_at, to_at, quantity, share, price_minor, amount_minor, start_key, stop_key)
	SELECT w.invoice_id, p.position, r.subject, r.a, r.b, r.quantity,
		CASE r.kind WHEN 'metered' THEN 1 ELSE round((extract(epoch FROM r.b - r.a) * 1000000)::numeric / m.micros, 12) END, r.price,
		round(` + usedOf + ` * r.price / ` + wholeOf + `, 8), r.start_key, r.stop_key
	FROM diff r JOIN who w USING (tenant_id) CROSS JOIN month m
	JOIN placed p ON p.tenant_id = r.tenant_id AND p.kind = r.kind AND p.sku = r.sku AND p.tier = r.tier AND p.price = r.price
)
SELECT p.tenant_id, p.position, 'adjustment' AS kind, p.kind AS adjusts, p.sku, p.sku_name, p.unit, p.tier, i.currency,
	coalesce((SELECT max(t.name) FROM terms t WHERE t.tenant_id = p.tenant_id AND t.tier = p.tier), p.tier) AS tier_name,
	coalesce((SELECT max(t.ppm) FROM terms t WHERE t.tenant_id = p.tenant_id AND t.tier = p.tier), 0) AS ppm,
	p.price::numeric(20, 8)::text AS price_minor,
	coalesce((SELECT round(sum(` + usedOf + `)::numeric / max(` + wholeOf + `), 8) FROM diff r CROSS JOIN month m
		WHERE (r.tenant_id, r.kind, r.sku, r.tier, r.price) = (p.tenant_id, p.kind, p.sku, p.tier, p.price)), 0)::text AS quantity,
	p.net AS net_minor, (SELECT count(DISTINCT d.subject) FROM diff d WHERE (d.tenant_id, d.kind, d.sku, d.tier, d.price) = (p.tenant_id, p.kind, p.sku, p.tier, p.price)) AS subjects,
	(SELECT a FROM month) AS first_at
FROM placed p CROSS JOIN LATERAL (SELECT t.currency FROM tenant_terms t WHERE t.tenant_id = p.tenant_id LIMIT 1) i
ORDER BY p.tenant_id, p.position`
