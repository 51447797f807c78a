package tenancy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/sqltext"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// What the tests of other packages sent as tenants on one PostgreSQL is sent again, in its
// order, to a tenant on a node and to one on the coordinator, in whose statements Citus has
// no say. Both must answer the same: the rows, how many, and with what a statement fails.
func TestCitusAnswersAsPostgres(t *testing.T) {
	tenancytest.NeedsCitus(t)
	dir := os.Getenv(tenancytest.StatementsDir)
	if dir == "" {
		t.Skip("there are no statements to send: " + tenancytest.StatementsDir + " is not set")
	}
	w := tenancytest.New(t)
	d := &duet{compared: map[string]int{},
		node:  &voice{tenant: w.A.ID.Schema(), conn: dial(t, as(t, w.DSN, tenancy.LaneLogin(w.A.ID.Lane(tenancytest.Lanes))))},
		plain: &voice{tenant: plainTenant(t, w), conn: dial(t, w.DSN)}}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing is written down in %s: %v", dir, err)
	}
	for _, file := range files {
		from, _, _ := strings.Cut(filepath.Base(file), ".test-")
		for _, one := range writtenDown(t, file) {
			d.play(t, from, one)
		}
	}
	t.Logf("%d statements of %d kinds: %d answered otherwise", d.sent, len(d.compared), d.otherwise)
	if len(d.compared) < 1000 {
		t.Errorf("only %d kinds of statements were written down", len(d.compared))
	}
}

// plainTenant makes a tenant whose tables are no shards.
func plainTenant(t *testing.T, w *tenancytest.World) string {
	t.Helper()
	script, version, err := tenancy.TenantScript()
	if err != nil {
		t.Fatal(err)
	}
	const name = "t_900001"
	c := dial(t, w.DSN)
	t.Cleanup(func() { _ = send(c, "DROP OWNED BY "+name+" CASCADE; DROP ROLE "+name) }) // roles belong to all tests
	for _, sql := range []string{
		"SET citus.enable_schema_based_sharding = off; SET citus.enable_ddl_propagation = off",
		"SET citus.enable_create_role_propagation = off; CREATE ROLE " + name + " LOGIN NOINHERIT",
		"CREATE SCHEMA " + name + " AUTHORIZATION " + name,
		"BEGIN; SET LOCAL ROLE " + name + "; SET LOCAL search_path TO " + name + ", pg_temp; " + script + "; COMMIT",
		fmt.Sprintf(`INSERT INTO central.tenants (id, key, slug, name, status, owner_email, schema_version, content_version, created_at, changed_at)
			VALUES (900001, 'plain', 'plain', 'plain', 'active', 'owner@plain.test', %d, 1, now(), now())`, version),
	} {
		if err := send(c, sql); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// duet sends the same to two tenants.
type duet struct {
	node, plain     *voice
	compared        map[string]int // how often, by the kind of statement
	sent, otherwise int
}

type voice struct {
	tenant string
	conn   *pgx.Conn
}

// often is how often a kind of statement that changes nothing is compared.
const often = 3

// play sends what one tenant of one database was sent. All of it is one transaction that
// is taken back, and each transaction of then is a savepoint.
func (d *duet) play(t *testing.T, from string, all []transaction) {
	t.Helper()
	if !slices.ContainsFunc(all, func(tx transaction) bool { return slices.ContainsFunc(tx.statements, d.rare) }) {
		return
	}
	for _, v := range []*voice{d.node, d.plain} {
		v.must(t, "BEGIN; SET LOCAL statement_timeout = '30s'; SET LOCAL ROLE "+v.tenant+"; SET LOCAL search_path TO "+v.tenant+", pg_temp")
		defer v.must(t, "ROLLBACK")
	}
	for _, tx := range all {
		if !slices.ContainsFunc(tx.statements, func(sql string) bool { return d.rare(sql) || !reads(sql) }) {
			continue
		}
		how := "ROLLBACK TO begun"
		if d.both(t, "SAVEPOINT begun"); d.each(t, from, tx.statements) && tx.kept {
			how = "RELEASE begun"
		}
		d.both(t, how)
	}
}

func (d *duet) both(t *testing.T, sql string) {
	t.Helper()
	d.node.must(t, sql)
	d.plain.must(t, sql)
}

func (d *duet) rare(sql string) bool { return d.compared[kindOf(sql)] < often }

func reads(sql string) bool {
	return strings.HasPrefix(sql, "SELECT") && !strings.Contains(sql, "door.")
}

// each reports whether all statements went through at both.
func (d *duet) each(t *testing.T, from string, all []string) bool {
	t.Helper()
	for _, sql := range all {
		kind := kindOf(sql)
		if reads(sql) && d.compared[kind] >= often {
			continue
		}
		d.compared[kind]++
		d.sent++
		n := d.node.say(sql)
		p := n
		if strings.Contains(sql, "door.") { // what both write centrally is in each other's way
			p.state, p.err = "", nil
		} else {
			p = d.plain.say(sql)
		}
		// A sum over whole rows has what came by chance in it.
		if n.state != p.state || n.tag != p.tag && !manyTold.MatchString(sql) || !slices.Equal(n.rows, p.rows) && !strings.Contains(sql, "md5(string_agg(t::text") {
			d.otherwise++
			t.Errorf("%s: %s\n on a node: %s\n otherwise: %s", from, sql, n, p)
		}
		if n.state != "" || p.state != "" {
			return false
		}
	}
	return true
}

// manyTold are statements whose number of rows nobody asks: where rows are there already
// Citus counts them, too.
var manyTold = regexp.MustCompile(`^INSERT INTO (timeline|usage_totals|mails) `)

// answer is what came of a statement; its rows in an order of ours.
type answer struct {
	state, tag string
	rows       []string
	err        error
}

func (a answer) String() string {
	return fmt.Sprintf("%s %v %.300q", a.tag, a.err, a.rows)
}

func (v *voice) must(t *testing.T, sql string) {
	t.Helper()
	if err := send(v.conn, sql); err != nil {
		t.Fatalf("%s: %s: %v", v.tenant, sql, err)
	}
}

// say sends a statement as the kernel does.
func (v *voice) say(sql string) (a answer) {
	r := v.conn.PgConn().ExecParams(context.Background(), sql, nil, nil, nil, nil).Read()
	for _, row := range r.Rows {
		a.rows = append(a.rows, byChance.ReplaceAllString(fmt.Sprintf("%q", row), "…"))
	}
	slices.Sort(a.rows)
	a.tag, a.err = r.CommandTag.String(), r.Err
	a.state = stateAnywhere(r.Err)
	return a
}

// byChance is what now() and gen_random_uuid() in statements of tests come to, and the
// tenant's own name.
var byChance = regexp.MustCompile(`t_\d+|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d+\+00(:00)?|[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

// stateAnywhere is an error's state. What is copied to a node fails without one.
func stateAnywhere(err error) string {
	var pe *pgconn.PgError
	if state(err) != "XX000" || !errors.As(err, &pe) {
		return state(err)
	}
	for text, state := range map[string]string{"violates foreign key": "23503", "violates unique": "23505", "violates check": "23514", "violates not-null": "23502"} {
		if strings.Contains(pe.Message, text) {
			return state
		}
	}
	return "XX000"
}

// transaction is one of a tenant's, as it was sent.
type transaction struct {
	statements []string
	kept       bool
}

var bound = regexp.MustCompile(`^statement: BEGIN.*; SET LOCAL ROLE (t_\d+);`)

// writtenDown reads a server's log: what lanes sent for each tenant of each database, in
// the order in which transactions ended.
func writtenDown(t *testing.T, file string) (all [][]transaction) {
	t.Helper()
	f, err := os.Open(file) //nolint:gosec // the test's own directory
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type session struct {
		place string
		transaction
	}
	open, places := map[string]*session{}, map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			User, Message, Dbname string
			Session               string `json:"session_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if !strings.HasPrefix(line.User, "lane_") {
			continue
		}
		s, text := open[line.Session], line.Message
		if m := bound.FindStringSubmatch(text); m != nil {
			open[line.Session] = &session{place: line.Dbname + " " + m[1]}
		} else if sql, ok := strings.CutPrefix(text, "execute <unnamed>: "); ok && s != nil {
			s.statements = append(s.statements, sql)
		} else if s != nil && (text == "statement: COMMIT" || text == "statement: ROLLBACK") {
			delete(open, line.Session)
			s.kept = text == "statement: COMMIT"
			n, known := places[s.place]
			if !known {
				n, all = len(all), append(all, nil)
				places[s.place] = n
			}
			all[n] = append(all[n], s.transaction)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return all
}

// kindOf is a statement without its values; of a list of values, or of lists of them,
// however long, two.
func kindOf(text string) string {
	tokens, err := sqltext.Scan(text)
	if err != nil {
		return text
	}
	var words []string
	for i, x := range tokens {
		value := x.Kind == sqltext.Text || x.Kind == sqltext.Number
		switch x.Text {
		case "null", "true", "false", "default": // as a value, and not in "is null"
			value = x.Kind == sqltext.Word && i > 0 && (tokens[i-1].Text == "," || tokens[i-1].Text == "(")
		}
		switch {
		case value:
			words = append(words, "?")
		case x.Kind != sqltext.Comment:
			words = append(words, x.Text)
		}
	}
	kind := severalValues.ReplaceAllString(strings.Join(words, " "), "? , ?")
	return severalRows.ReplaceAllString(kind, "$1 , $1")
}

var (
	severalValues = regexp.MustCompile(`\?( , \?)+`)
	severalRows   = regexp.MustCompile(`(\( \?(?: , \?)? \))(?: , \( \?(?: , \?)? \))+`)
)
