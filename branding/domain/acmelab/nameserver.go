package acmelab

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

// nameServer answers from the zone, over UDP and TCP on one port.
type nameServer struct {
	addr    string
	servers []*dns.Server
}

func serveDNS(addr string, zone *Zone, key UpdateKey) (*nameServer, error) {
	var lastErr error
	for range 10 { // a free UDP port may be taken for TCP
		s, err := listenDNS(addr, zone, key)
		if err == nil {
			return s, nil
		}
		lastErr = err
	}
	return nil, fmt.Errorf("acmelab: the name server's address: %w", lastErr)
}

func listenDNS(addr string, zone *Zone, key UpdateKey) (*nameServer, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return nil, err
	}
	ln, err := lc.Listen(context.Background(), "tcp", pc.LocalAddr().String())
	if err != nil {
		_ = pc.Close()
		return nil, err
	}
	s := &nameServer{addr: pc.LocalAddr().String()}
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Opcode == dns.OpcodeUpdate {
			_ = w.WriteMsg(update(zone, w, q))
			return
		}
		_ = w.WriteMsg(reply(zone, q))
	})
	for _, srv := range []*dns.Server{
		{PacketConn: pc, Handler: h},
		{Listener: ln, Handler: h, IdleTimeout: func() time.Duration { return time.Minute }},
	} {
		started := make(chan struct{})
		srv.TsigSecret, srv.MsgAcceptFunc = key.secrets(), acceptUpdates
		srv.NotifyStartedFunc = func() { close(started) }
		go func() { _ = srv.ActivateAndServe() }()
		<-started
		s.servers = append(s.servers, srv)
	}
	return s, nil
}

func reply(zone *Zone, q *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	if len(q.Question) != 1 {
		m.Rcode = dns.RcodeFormatError
		return m
	}
	m.Answer, m.Rcode = zone.answer(canonical(q.Question[0].Name), q.Question[0].Qtype)
	return m
}

func (s *nameServer) close() {
	for _, srv := range s.servers {
		_ = srv.Shutdown()
	}
}
