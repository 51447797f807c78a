package signin_test

import "crypto/tls"

// tlsState is what fasthttp asks a TLS connection for.
type tlsState struct{ tlsConn }

func (c tlsState) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{ServerName: c.sni}
}
