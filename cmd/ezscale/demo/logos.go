package demo

// Logos of the demo's businesses, drawn for it. A wordmark is set in a system font:
// pages show it as a picture, which has no other.
const (
	logoScale     = `<svg xmlns="http://www.w3.org/2000/svg" width="168" height="36" viewBox="0 0 168 36"><path fill="#1f5fbf" d="M2 26h8v8H2zM13 17h8v17h-8zM24 6h8v28h-8z"/><text x="42" y="27" font-family="system-ui,sans-serif" font-size="23" font-weight="700" letter-spacing="1" fill="#13233f">EZSCALE</text></svg>`
	logoScaleDark = `<svg xmlns="http://www.w3.org/2000/svg" width="168" height="36" viewBox="0 0 168 36"><path fill="#8ab4ff" d="M2 26h8v8H2zM13 17h8v17h-8zM24 6h8v28h-8z"/><text x="42" y="27" font-family="system-ui,sans-serif" font-size="23" font-weight="700" letter-spacing="1" fill="#eef3fb">EZSCALE</text></svg>`
	iconScale     = `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64"><path fill="#1f5fbf" d="M6 44h14v14H6zM25 27h14v31H25zM44 8h14v50H44z"/></svg>`

	logoNimbus     = `<svg xmlns="http://www.w3.org/2000/svg" width="160" height="40" viewBox="0 0 160 40"><path fill="#0f766e" d="M12 32a9 9 0 0 1-1-18 12 12 0 0 1 23-2 10 10 0 0 1 2 20z"/><path fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" d="M15 25c3-4 6-4 9 0s6 4 9 0"/><text x="53" y="28" font-family="system-ui,sans-serif" font-size="23" font-weight="600" fill="#10302d">nimbus</text></svg>`
	logoNimbusDark = `<svg xmlns="http://www.w3.org/2000/svg" width="160" height="40" viewBox="0 0 160 40"><path fill="#5eead4" d="M12 32a9 9 0 0 1-1-18 12 12 0 0 1 23-2 10 10 0 0 1 2 20z"/><path fill="none" stroke="#0b2523" stroke-width="3" stroke-linecap="round" d="M15 25c3-4 6-4 9 0s6 4 9 0"/><text x="53" y="28" font-family="system-ui,sans-serif" font-size="23" font-weight="600" fill="#e8fbf8">nimbus</text></svg>`
	iconNimbus     = `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64"><path fill="#0f766e" d="M18 52A15 15 0 0 1 16 22a20 20 0 0 1 38-3 17 17 0 0 1-3 33z"/></svg>`

	logoForge     = `<svg xmlns="http://www.w3.org/2000/svg" width="212" height="40" viewBox="0 0 212 40"><path fill="#ea580c" d="M4 6h12v6H4zM4 14h26v6H4zM12 22h10v6H12zM6 30h22v6H6z"/><path fill="#0891b2" d="M22 4h4v4h-4zM28 2h3v3h-3z"/><text x="42" y="28" font-family="system-ui,sans-serif" font-size="22" font-weight="800" fill="#1c1917">PIXELFORGE</text></svg>`
	logoForgeDark = `<svg xmlns="http://www.w3.org/2000/svg" width="212" height="40" viewBox="0 0 212 40"><path fill="#fb923c" d="M4 6h12v6H4zM4 14h26v6H4zM12 22h10v6H12zM6 30h22v6H6z"/><path fill="#22d3ee" d="M22 4h4v4h-4zM28 2h3v3h-3z"/><text x="42" y="28" font-family="system-ui,sans-serif" font-size="22" font-weight="800" fill="#fafaf9">PIXELFORGE</text></svg>`
	iconForge     = `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64"><path fill="#ea580c" d="M6 8h22v12H6zM6 22h50v12H6zM22 36h20v10H22zM10 48h44v10H10z"/></svg>`
)
