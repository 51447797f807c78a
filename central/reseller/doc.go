// Package reseller owns who the platform's tenants are: their rows in the central
// schema, the hosts that lead to them, and every change of their lives. It opens no
// tenant's schema and knows nothing of what a tenant sells.
package reseller
