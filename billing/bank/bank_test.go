package bank_test

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/bank"
)

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func camt(t *testing.T, b []byte) []bank.Booking {
	t.Helper()
	all, err := bank.CAMT(b)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, x := range all {
		if x.Key == "" || seen[x.Key] {
			t.Errorf("the key %q of %+v", x.Key, x)
		}
		seen[x.Key] = true
	}
	return all
}

func TestCAMT(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }
	const own = "DE02120300000000202051"
	want := []bank.Booking{
		{Account: own, On: day(18), Amount: eur(1190), Party: "Ida Berg", PartyAccount: "DE89370400440532013000", Text: "Rechnung INV-2026- 00001 danke"},
		{Account: own, On: day(19), Amount: eur(1000), Party: "Ben", Reference: "INV-2026-00002"},
		{Account: own, On: day(19), Amount: eur(2000), Party: "Cleo"},
		{Account: own, On: day(19), Amount: eur(-500), Party: "The bank", Text: "Fees"},
	}
	got := camt(t, file(t, "camt.053.001.02.xml"))
	for i := range got {
		got[i].Key = ""
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	newer := camt(t, file(t, "camt.053.001.08.xml"))
	if len(newer) != 2 || newer[0].Account != "123456" || newer[0].Party != "Dora" || newer[0].Amount != (billing.Money{Minor: 1200, Currency: "JPY"}) || newer[0].Reference != "INV-2026-00003" {
		t.Errorf("%+v", newer)
	}
}

// TestKeysStay: the same bookings of another file have the same keys, and the same ref of
// another day is another booking.
func TestKeysStay(t *testing.T) {
	text := string(file(t, "camt.053.001.02.xml"))
	first, again := camt(t, []byte(text)), camt(t, []byte(strings.Replace(text, "STMT-1", "STMT-9", 1)))
	if !slices.Equal(first, again) {
		t.Errorf("%+v\n%+v", first, again)
	}
	other := camt(t, []byte(strings.Replace(text, "<Dt>2026-11-18</Dt></BookgDt>", "<Dt>2026-11-17</Dt></BookgDt>", 1)))
	if other[0].Key == first[0].Key {
		t.Error("a reference of another day is the same booking")
	}
}

func TestCAMTRefuses(t *testing.T) {
	good := string(file(t, "camt.053.001.02.xml"))
	for name, text := range map[string]string{
		"nothing": "", "no XML": "Buchungstag;Betrag", "another message": strings.ReplaceAll(good, "camt.053.001.02", "pain.001.001.03"),
		"a document type": strings.Replace(good, "<Document", "<!DOCTYPE Document [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Document", 1),
		"an entity":       strings.Replace(good, "Ida Berg", "&x;", 1), "cut off": good[:len(good)-40],
		"no day":    strings.Replace(good, "<Dt>2026-11-18</Dt></BookgDt><ValDt><Dt>2026-11-18</Dt>", "<Dt>soon</Dt></BookgDt><ValDt><Dt>soon</Dt>", 1),
		"no amount": strings.Replace(good, ">11.90<", ">1e9<", 1), "no currency": strings.Replace(good, `<Amt Ccy="EUR">11.90`, `<Amt Ccy="???">11.90`, 1),
		"parts of a cent": strings.Replace(good, ">11.90<", ">11.905<", 1), "no direction": strings.Replace(good, "CRDT", "BOTH", 1),
	} {
		if all, err := bank.CAMT([]byte(text)); !errors.Is(err, bank.ErrFormat) {
			t.Errorf("%s: %v %v", name, all, err)
		}
	}
	if _, err := bank.CAMT(make([]byte, bank.MaxFile+1)); !errors.Is(err, bank.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

func TestCSV(t *testing.T) {
	for name, test := range map[string]struct {
		text    string
		columns bank.Columns
		want    bank.Booking
	}{
		"German": {
			"Konto;DE02 1203\n\nBuchungstag;Valutadatum;Auftraggeber/Empfänger;IBAN;Verwendungszweck;Betrag;Währung\n18.11.2026;18.11.2026;Ida Berg;DE89 3704 0044;\"INV-2026-00001; danke\";1.234,50;EUR\n",
			bank.Columns{}, bank.Booking{Amount: eur(123450), Party: "Ida Berg", PartyAccount: "DE8937040044", Text: "INV-2026-00001; danke"},
		},
		"old encoding": {"Buchungstag;Beg\xfcnstigter;Betrag\n18.11.26;J\xf6rg;-12,5\n", bank.Columns{Currency: "EUR", Party: "Begünstigter"}, bank.Booking{Amount: eur(-1250), Party: "Jörg"}},
		"English":      {"Date,Amount,Currency,Payee,Description\n2026-11-18,\"1,234.50\",EUR,Ida,INV-1\n", bank.Columns{}, bank.Booking{Amount: eur(123450), Party: "Ida", Text: "INV-1"}},
		"own columns":  {"When\tHow much\tWho\n11/18/2026\t+99\tIda\n", bank.Columns{Date: "when", Amount: "How much", Party: "WHO", Currency: "EUR", MonthFirst: true}, bank.Booking{Amount: eur(9900), Party: "Ida"}},
		"thousands":    {"Datum;Betrag;Währung\n18.11.2026;12.345;EUR\n;;\n18.11.2026;0,00;EUR\n", bank.Columns{}, bank.Booking{Amount: eur(1234500)}},
	} {
		all, err := bank.CSV([]byte(test.text), test.columns)
		if err != nil || len(all) != 1 {
			t.Errorf("%s: %+v %v", name, all, err)
			continue
		}
		test.want.Key, test.want.On = all[0].Key, time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC)
		if all[0] != test.want || all[0].Key == "" {
			t.Errorf("%s: %+v, want %+v", name, all[0], test.want)
		}
	}
	var columns *bank.ColumnsError
	if _, err := bank.CSV([]byte("When;How much\n18.11.2026;5\n"), bank.Columns{}); !errors.As(err, &columns) || !slices.Equal(columns.Missing, []string{"amount", "currency", "date"}) || !slices.Equal(columns.Head, []string{"When", "How much"}) {
		t.Errorf("unknown columns: %+v %v", columns, err)
	}
	for _, text := range []string{"", "\x00;a", "one column\n1\n", "Datum;Betrag;Währung\nheute;5;EUR\n", "Datum;Betrag;Währung\n1.1.2026;five;EUR\n", "Datum;Betrag;Währung\n1.1.2026;5;XXY\n"} {
		if all, err := bank.CSV([]byte(text), bank.Columns{}); !errors.Is(err, bank.ErrFormat) {
			t.Errorf("%q: %v %v", text, all, err)
		}
	}
	twice := "Datum;Betrag;Währung;Name\n18.11.2026;5;EUR;Ida\n18.11.2026;5;EUR;Ida\n"
	all, err := bank.CSV([]byte(twice), bank.Columns{})
	if err != nil || len(all) != 2 || all[0].Key == all[1].Key {
		t.Errorf("two equal payments: %+v %v", all, err)
	}
}

func TestSuggest(t *testing.T) {
	m := bank.NewMatcher([]bank.Due{
		{"INV-2026-00001", "Ida Berg", eur(1190), false}, {"INV-2026-00002", "Ben Boot", eur(1000), false}, {"INV-2026-00012", "Cleo", eur(1000), false},
		{"INV-2026-0001", "Dora", eur(700), false}, {"INV-2026-00077", "Emil Frisch", eur(4242), false}, {"X1", "Short", eur(5), false},
	})
	for _, test := range []struct {
		name, text, reference, party string
		minor                        int64
		due                          []int
		sure                         bank.Sureness
	}{
		{"number and amount", "Rechnung inv 2026/00001", "", "", 1190, []int{0}, bank.Certain},
		{"in the reference", "", "INV-2026-00002", "", 1000, []int{1}, bank.Certain},
		{"two together", "INV-2026-00001 + INV-2026-00002", "", "", 2190, []int{0, 1}, bank.Certain},
		{"a part", "INV-2026-00001", "", "", 500, []int{0}, bank.Perhaps},
		{"more than is owed", "INV-2026-00001", "", "", 5000, []int{0}, bank.Perhaps},
		{"a number within another", "INV-2026-00012", "", "", 1000, []int{2}, bank.Certain},
		{"the shorter number", "INV-2026-0001", "", "", 700, []int{3}, bank.Certain},
		{"two, and the amount of one", "INV-2026-00001 INV-2026-00002", "", "", 1000, []int{1}, bank.Perhaps},
		{"only the amount", "danke", "", "Somebody", 4242, []int{4}, bank.Perhaps},
		{"name and amount of two", "danke", "", "CLEO", 1000, []int{2}, bank.Perhaps},
		{"two of that amount", "danke", "", "Somebody", 1000, nil, bank.Nothing},
		{"a short number", "X1", "", "", 6, nil, bank.Nothing},
		{"money that left", "INV-2026-00001", "", "", -1190, nil, bank.Nothing},
	} {
		s := m.Suggest(bank.Booking{Amount: eur(test.minor), Text: test.text, Reference: test.reference, Party: test.party})
		if !slices.Equal(s.Due, test.due) || s.Sure != test.sure || (s.Why == "") != (s.Sure == bank.Nothing) {
			t.Errorf("%s: %+v", test.name, s)
		}
	}
	if s := m.Suggest(bank.Booking{Amount: billing.Money{Minor: 1190, Currency: "USD"}, Text: "INV-2026-00001"}); s.Sure != bank.Nothing {
		t.Errorf("another currency: %+v", s)
	}
}

// TestSharesAreTheWhole: what a booking is divided into is the booking, and nobody gets
// more than is owed before the last.
func TestSharesAreTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(1, 1e6).Draw(t, "amount")
		owed := rapid.SliceOfN(rapid.Int64Range(-50, 1e6), 1, 8).Draw(t, "owed")
		due := make([]billing.Money, len(owed))
		for i, o := range owed {
			due[i] = eur(o)
		}
		var sum int64
		for i, s := range bank.Share(eur(amount), due) {
			if s.Minor < 0 || i < len(due)-1 && s.Minor > max(owed[i], 0) {
				t.Fatalf("share %d of %v is %d", i, owed, s.Minor)
			}
			sum += s.Minor
		}
		if sum != amount {
			t.Fatalf("%d of %d", sum, amount)
		}
	})
}

// TestAmountsAreRead: every amount that is written the way of some country is read back.
func TestAmountsAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Range(1, 1e11).Draw(t, "minor")
		major, cents := strconv.FormatInt(minor/100, 10), strconv.FormatInt(100+minor%100, 10)[1:]
		for i := len(major) - 3; i > 0; i -= 3 {
			major = major[:i] + "." + major[i:]
		}
		written := major + "," + cents
		if rapid.Bool().Draw(t, "English") {
			written = strings.NewReplacer(".", ",", ",", ".").Replace(written)
		}
		all, err := bank.CSV([]byte("Date;Amount;Currency\n2026-01-01;"+written+";EUR\n"), bank.Columns{})
		if err != nil || len(all) != 1 || all[0].Amount != eur(minor) {
			t.Fatalf("%s: %+v %v", written, all, err)
		}
	})
}

func sane(t *testing.T, all []bank.Booking) {
	t.Helper()
	for _, b := range all {
		if b.Key == "" || b.On.IsZero() || b.Amount.Minor == 0 || strings.ContainsAny(b.Party+b.Text+b.Reference+b.Account+b.Key, "\x00\n") || len(b.Text) > 4000 {
			t.Errorf("%+v", b)
		}
	}
}

func FuzzCAMT(f *testing.F) {
	f.Add(file(f, "camt.053.001.02.xml"))
	f.Add(file(f, "camt.053.001.08.xml"))
	f.Add([]byte(`<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><Stmt><Ntry><Amt Ccy="EUR">1</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-01-01</Dt></BookgDt></Ntry></Stmt></BkToCstmrStmt></Document>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := bank.CAMT(b)
		if err != nil && !errors.Is(err, bank.ErrFormat) && !errors.Is(err, bank.ErrTooLarge) {
			t.Error(err)
		}
		sane(t, all)
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("Date;Amount;Currency\n2026-01-01;1,00;EUR\n"), "", "EUR")
	f.Add([]byte("a,b,c\n\"1\n2\",3"), "a", "")
	f.Fuzz(func(t *testing.T, b []byte, date, currency string) {
		all, err := bank.CSV(b, bank.Columns{Date: date, Currency: currency})
		var columns *bank.ColumnsError
		if err != nil && !errors.Is(err, bank.ErrFormat) && !errors.Is(err, bank.ErrTooLarge) && !errors.As(err, &columns) {
			t.Error(err)
		}
		sane(t, all)
	})
}
