package mail

// Sample is made-up data for a letter, so that its words can be looked at before
// anybody is written to.
func Sample(template string) map[string]string {
	all := map[string]string{
		"name": "Zoë Berg", "unsubscribe": "/hooks/letters/sample", "link": "/client", "valid_for": "24 hours", "ip": "203.0.113.9", "inviter": "Ann Lee", "code": "418 205",
		"when": "15 October 2026, 09:30 UTC", "device": "Firefox on Linux", "host": "shop.example.org", "until": "22 October 2027",
		"number": "INV-2026-00042", "invoice": "INV-2026-00040", "total": "€23.79", "amount": "€23.79", "open": "€23.79", "due": "22 October 2026",
		"next": "24 October 2026", "on": "22 October 2026", "off": "29 October 2026", "ends": "12 November 2026", "fee": "€5.00", "fee_on": "5 November 2026", "week": "yes", "paid": "yes",
		"reason": "The bank declined the card.", "shop": "Nimbus Hosting", "usage": "yes", "what": "VPS Small (shop server)", "wanted": "VPS Large", "percent": "90", "subject": "Cloud VPS Small", "list": "- VPS Small (shop server): €10.00 a month until then, €12.00 from 1 March 2027, before tax.", "first": "1 March 2027", "spent": "€45.00", "limit": "€50.00", "services": "100", "used": "€45.00", "held": "€56.00", "meter": "Traffic", "balance": "€56.00", "stage": "near", "every": "a month", "card": "yes",
		"service": "Shop server", "address": "203.0.113.80", "customer": "Lee & Sons", "problem": "The platform has no room left for it.", "account": "Lee & Sons", "state": "The customer disputes €23.79 of invoice INV-2026-00042 at their bank: it was charged twice.", "role": "Technical contact", "method": "Bank account DE •••• 3000", "reference": "4KX2MPLQ8SWA71DB",
	}
	data := map[string]string{}
	for _, key := range Templates[template] {
		data[key] = all[key]
	}
	return data
}
