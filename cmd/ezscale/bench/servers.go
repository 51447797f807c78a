package bench

// servers are the measured servers by kind.
func servers() map[string]server {
	return map[string]server{
		"list-bound":   serveListBound,
		"list-unbound": serveListUnbound,
		"touch-bound":  serveTouchBound,
		"touch-shared": serveTouchShared,
		"page-bare":    servePageBare,
		"tls-front":    serveTLSFront,
		"tls-bare":     serveTLSBare,
	}
}
