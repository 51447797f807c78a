package web

// PublicPages are the shop's pages that show everybody the same: they may be kept
// rendered. A path that ends in a star stands for all that begin so; one that ends in a
// name, for any one segment. The page of a plan is not among them: it has a form.
func PublicPages() []string {
	return []string{"/", "/products/:product", "/contact", "/legal/*", "/robots.txt", "/sitemap.xml", "/favicon.svg", "/favicon.ico"}
}
