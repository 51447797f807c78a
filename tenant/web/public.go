package web

// PublicPages are the shop's pages that show everybody the same: they may be kept
// rendered. A path that ends in a star stands for all that begin so.
func PublicPages() []string {
	return []string{"/", "/products/*", "/contact", "/legal/*", "/robots.txt", "/sitemap.xml", "/favicon.svg", "/favicon.ico"}
}
