package acmelab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Record is one record of the zone. A name may have many of a type.
type Record struct {
	Name  string `json:"name"` // without trailing dot
	Type  string `json:"type"` // A, AAAA, CNAME, TXT, CAA, NS, …
	Value string `json:"value"`
}

// Zone is every record the name server knows. Names below .localhost and .test
// lead to 127.0.0.1 unless a record says otherwise.
type Zone struct {
	mu      sync.RWMutex
	records []Record
	broken  map[string]int // names answered with this RCODE
	file    string
}

// ErrRecord is returned for a record that cannot stand in a zone.
var ErrRecord = errors.New("acmelab: not a valid record")

func openZone(file string) (*Zone, error) {
	z := &Zone{file: file, broken: map[string]int{}}
	if file == "" {
		return z, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return z, nil
	}
	if err != nil {
		return nil, fmt.Errorf("acmelab: read the zone: %w", err)
	}
	if err := json.Unmarshal(b, &z.records); err != nil {
		return nil, fmt.Errorf("acmelab: read the zone %s: %w", file, err)
	}
	return z, nil
}

// Add adds a record; adding one that is there changes nothing.
func (z *Zone) Add(r Record) error {
	r, err := r.clean()
	if err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if slices.Contains(z.records, r) {
		return nil
	}
	z.records = append(z.records, r)
	return z.save()
}

// Set replaces the records of the same name and type by this one.
func (z *Zone) Set(r Record) error {
	r, err := r.clean()
	if err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = slices.DeleteFunc(z.records, func(o Record) bool { return o.Name == r.Name && o.Type == r.Type })
	z.records = append(z.records, r)
	return z.save()
}

// Delete removes the records of a name and type, and only those of a value when it
// is given. Deleting what is not there succeeds.
func (z *Zone) Delete(name, kind, value string) error {
	name, kind = canonical(name), strings.ToUpper(kind)
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = slices.DeleteFunc(z.records, func(o Record) bool {
		return o.Name == name && o.Type == kind && (value == "" || o.Value == value)
	})
	return z.save()
}

// List is every record, by name.
func (z *Zone) List() []Record {
	z.mu.RLock()
	defer z.mu.RUnlock()
	all := slices.Clone(z.records)
	slices.SortStableFunc(all, func(a, b Record) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
	return all
}

// Break makes every question about name answer with an RCODE, such as
// dns.RcodeServerFailure; 0 mends it.
func (z *Zone) Break(name string, rcode int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if rcode == 0 {
		delete(z.broken, canonical(name))
		return
	}
	z.broken[canonical(name)] = rcode
}

// save is called with the lock held.
func (z *Zone) save() error {
	if z.file == "" {
		return nil
	}
	b, err := json.MarshalIndent(z.records, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(z.file+".new", b, 0o600); err != nil {
		return fmt.Errorf("acmelab: keep the zone: %w", err)
	}
	return os.Rename(z.file+".new", z.file)
}

func canonical(name string) string {
	return strings.ToLower(strings.Trim(strings.TrimSpace(name), "."))
}

// clean refuses what the name server could not answer with.
func (r Record) clean() (Record, error) {
	r = Record{Name: canonical(r.Name), Type: strings.ToUpper(strings.TrimSpace(r.Type)), Value: strings.TrimSpace(r.Value)}
	if _, ok := dns.IsDomainName(r.Name); r.Name == "" || !ok {
		return r, fmt.Errorf("%w: %q is not a name", ErrRecord, r.Name)
	}
	if r.Type == "CNAME" || r.Type == "NS" {
		r.Value = canonical(r.Value)
	}
	if _, err := r.rr(r.Name); err != nil {
		return r, fmt.Errorf("%w: %s %s: %w", ErrRecord, r.Type, r.Value, err)
	}
	return r, nil
}

// rr is the record as an answer about owner.
func (r Record) rr(owner string) (dns.RR, error) {
	value := r.Value
	switch r.Type {
	case "TXT":
		t := &dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(owner), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}}
		for value = strings.Trim(value, `"`); len(value) > 255; value = value[255:] {
			t.Txt = append(t.Txt, value[:255])
		}
		t.Txt = append(t.Txt, value)
		return t, nil
	case "CNAME", "NS":
		value = dns.Fqdn(value)
	case "A", "AAAA", "CAA", "MX", "SOA":
	default:
		return nil, errors.New("this type is not kept here")
	}
	if strings.ContainsAny(value, "\n\r") {
		return nil, errors.New("more than one line")
	}
	rr, err := dns.NewRR(dns.Fqdn(owner) + " 1 IN " + r.Type + " " + value)
	if err == nil && rr == nil {
		err = errors.New("no value")
	}
	return rr, err
}

// answer is what the zone says about one question, following aliases inside it.
func (z *Zone) answer(name string, qtype uint16) (rrs []dns.RR, rcode int) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	for range 8 { // aliases of aliases; a circle ends here
		if rcode := z.broken[name]; rcode != 0 {
			return nil, rcode
		}
		exists, addressed, alias := false, false, ""
		for _, r := range z.records {
			if strings.HasSuffix(r.Name, "."+name) {
				exists = true
			}
			if r.Name != name {
				continue
			}
			exists = true
			addressed = addressed || r.Type == "A" || r.Type == "AAAA" || r.Type == "CNAME"
			if r.Type == "CNAME" {
				alias = r.Value
			}
			rr, err := r.rr(name)
			if err == nil && (rr.Header().Rrtype == qtype || r.Type == "CNAME") {
				rrs = append(rrs, rr)
			}
		}
		if alias != "" && qtype != dns.TypeCNAME {
			name = alias
			continue
		}
		if ours(name) && !strings.HasPrefix(name, "_") {
			exists = true
			if qtype == dns.TypeA && !addressed {
				rr, _ := Record{Type: "A", Value: "127.0.0.1"}.rr(name)
				rrs = append(rrs, rr)
			}
		}
		if !exists {
			rcode = dns.RcodeNameError
		}
		return rrs, rcode
	}
	return nil, dns.RcodeServerFailure
}

func ours(name string) bool {
	return strings.HasSuffix(name, ".localhost") || strings.HasSuffix(name, ".test") || name == "localhost"
}

// caa is the relevant set of CAA records for a name: the closest one up the tree.
func (z *Zone) caa(name string) []*dns.CAA {
	for name != "" {
		rrs, _ := z.answer(name, dns.TypeCAA)
		var set []*dns.CAA
		for _, rr := range rrs {
			if c, ok := rr.(*dns.CAA); ok {
				set = append(set, c)
			}
		}
		if len(set) > 0 {
			return set
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return nil
}
