package invoicing

import (
	"context"
	"slices"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/taxservice"
)

// sale is lines and who buys them.
type sale struct {
	buyer account.Taxed
	lines []billing.Line
}

// consult reads what a tax service has said about sales. Shops that ask none read nothing, and
// nobody is asked here: that was done before, or it was not.
func (t *terms) consult(ctx context.Context, tx *tenancy.Tx, sales ...sale) (err error) {
	if !t.service.On {
		return nil
	}
	var all []billing.TaxQuestion
	for _, s := range sales {
		for _, l := range s.lines {
			q, asks := t.taxCase(s.buyer, l.Tax.Class, tx.Now()).Question()
			if asks && t.service.Asks(q.Country) && !slices.Contains(all, q) {
				all = append(all, q)
			}
		}
	}
	t.answers, err = taxservice.Find(ctx, tx, all)
	return err
}

// answered is the case with the answer that counts, and notes how it came about.
func (t terms) answered(p *Priced, c billing.TaxCase) billing.TaxCase {
	q, asks := c.Question()
	if !asks || !t.service.Asks(q.Country) {
		return c
	}
	k := t.answers[q]
	policy := t.service.Policy()
	state := policy.State(k.AnsweredAt, c.At)
	if state == billing.AnswerFresh || state == billing.AnswerOld {
		c.Answer = k.Answer
	}
	p.Asked = append(p.Asked, billing.TaxAskedFor(q, k.Answer, state))
	if !k.Waits(c.At) && policy.State(k.AnsweredAt, c.At.Add(taxservice.Soon)) != billing.AnswerFresh {
		p.Open = append(p.Open, q)
	}
	return c
}
