package renewal

import (
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// read fills a change in as it was typed. Faults: price_change.invalid about the fields
// from, notice_days and those of its cells, and at the field prices where none changes.
func (c *PriceChange) read(f PriceForm, now time.Time, zone *time.Location) error {
	wrong := map[string]string{}
	from, err := time.ParseInLocation(time.DateOnly, strings.TrimSpace(f.From), zone)
	switch {
	case err != nil:
		wrong["from"] = "Please enter a day, such as " + now.AddDate(0, 2, 0).In(zone).Format(time.DateOnly) + "."
	case !from.After(now):
		wrong["from"] = "Please enter a day to come. What is to cost something else at once is changed at the plan."
	case from.Sub(now) > mostPriceLead:
		wrong["from"] = "Please enter a day within two years."
	}
	c.From, c.Running, c.NoticeDays, c.State = from.UTC(), f.Running, DefaultNotice, PriceScheduled
	if typed := strings.TrimSpace(f.NoticeDays); typed != "" {
		if c.NoticeDays, err = strconv.Atoi(typed); err != nil || c.NoticeDays < 1 || c.NoticeDays > MostNotice {
			wrong["notice_days"] = "Please enter a number of days from 1 to " + strconv.Itoa(MostNotice) + "."
		}
	}
	var cells []PriceCell
	for _, x := range c.Cells {
		if x.WasHour != nil {
			if x.readHour(f, cells, wrong); *x.Hour != *x.WasHour {
				cells = append(cells, x)
			}
			continue
		}
		typed := strings.TrimSpace(f.Prices[x.Name()])
		if typed == "" {
			continue
		}
		m, err := billing.Parse(typed, x.Currency)
		if err != nil || m.Minor < 0 || m.Minor > catalog.MaxPrice {
			wrong[x.Name()] = "Please enter an amount such as 12.50."
			continue
		}
		if x.Minor = m.Minor; x.Minor != x.Was {
			cells = append(cells, x)
		}
	}
	if c.Cells = cells; len(cells) == 0 && len(wrong) == 0 {
		wrong["prices"] = "Please enter at least one price that is another than today's."
	}
	return fault.Fields("price_change.invalid", wrong)
}

// readHour fills in what an hour is to cost, as it was typed, or as it follows from what the month
// of an option is to cost. Before are the cells that change; a month stands before its hour.
func (c *PriceCell) readHour(f PriceForm, before []PriceCell, wrong map[string]string) {
	h := *c.WasHour
	for _, x := range before {
		if x.Choice == "" || x.Choice != c.Choice || x.Currency != c.Currency || x.Cycle != billing.Monthly {
			continue
		}
		month := billing.Money{Minor: x.Minor, Currency: x.Currency}
		h.Most = month
		if by, err := billing.ByHours(month); err == nil && c.Follows {
			h = by
		}
	}
	typed, most := strings.TrimSpace(f.Prices[c.Name()]), ""
	if name := c.MostName(); name != "" {
		most = strings.TrimSpace(f.Prices[name])
	}
	if c.Follows || typed == "" && most == "" {
		c.set(h, wrong)
		return
	}
	if typed == "" {
		typed = h.Rate.Decimal()
	}
	if most == "" {
		most = h.Most.Decimal()
	}
	read, field, words := catalog.ReadHour(typed, most, c.Currency)
	switch field {
	case "amount":
		wrong[c.Name()] = words
	case "most":
		wrong[c.MostName()] = words
	default:
		c.set(read, wrong)
	}
}

func (c *PriceCell) set(h billing.HourPrice, wrong map[string]string) {
	month := billing.Money{}
	if !h.Rate.IsZero() {
		var err error
		if month, err = h.Month(); err != nil {
			wrong[c.Name()] = "This is more than can be charged."
			return
		}
	}
	c.Hour, c.Minor = &h, month.Minor
}
