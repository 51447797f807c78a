package acmelab

import (
	"strings"
	"time"

	"github.com/miekg/dns"
)

// UpdateKey lets whoever holds it change the zone by dynamic updates (RFC 2136).
type UpdateKey struct {
	Name   string
	Secret string // base64
}

func (k UpdateKey) secrets() map[string]string {
	if k.Name == "" {
		return nil
	}
	return map[string]string{dns.CanonicalName(k.Name): k.Secret}
}

// acceptUpdates admits updates, which the library refuses unless told otherwise.
func acceptUpdates(h dns.Header) dns.MsgAcceptAction {
	if opcode := int(h.Bits>>11) & 0xF; opcode == dns.OpcodeUpdate && h.Bits&(1<<15) == 0 {
		return dns.MsgAccept
	}
	return dns.DefaultMsgAcceptFunc(h)
}

// update carries out a signed update of TXT records and signs the answer.
func update(zone *Zone, w dns.ResponseWriter, q *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	sig := q.IsTsig()
	if sig == nil || w.TsigStatus() != nil {
		m.Rcode = dns.RcodeNotAuth
		return m
	}
	m.SetTsig(sig.Hdr.Name, sig.Algorithm, 300, time.Now().Unix())
	if len(q.Question) != 1 {
		m.Rcode = dns.RcodeFormatError
		return m
	}
	for _, rr := range q.Ns {
		m.Rcode = change(zone, canonical(q.Question[0].Name), rr)
		if m.Rcode != dns.RcodeSuccess {
			break
		}
	}
	return m
}

func change(zone *Zone, of string, rr dns.RR) int {
	txt, ok := rr.(*dns.TXT)
	name := canonical(rr.Header().Name)
	switch {
	case !ok:
		return dns.RcodeRefused
	case name != of && !strings.HasSuffix(name, "."+of):
		return dns.RcodeNotZone
	}
	value := strings.Join(txt.Txt, "")
	var err error
	switch rr.Header().Class {
	case dns.ClassINET:
		err = zone.Add(Record{Name: name, Type: "TXT", Value: value})
	case dns.ClassNONE:
		err = zone.Delete(name, "TXT", value)
	default:
		return dns.RcodeRefused
	}
	if err != nil {
		return dns.RcodeServerFailure
	}
	return dns.RcodeSuccess
}
