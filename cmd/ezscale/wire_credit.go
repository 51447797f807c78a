package main

import (
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/recognition"
	"github.com/ezscale/ezscale/tenant/referral"
)

// creditJobs registers what is due of customers' credit and of the books, and the letters
// about it.
func (a *app) creditJobs(w *queue.Workers) {
	queue.Due(w, credit.Agenda, credit.Expire)
	queue.Due(w, referral.Agenda, referral.Due)
	queue.Due(w, invoicing.TopUpAgenda, invoicing.LapseTopUps)
	queue.Due(w, recognition.Agenda, recognition.Recognise, queue.Timeout(10*time.Minute))
	queue.Handle(w, credit.Letters{Mail: mail.NewOutbox(a.ring)}.Write)
}
