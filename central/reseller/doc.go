// Package reseller owns who the platform's tenants are: their rows in the central
// schema, the hosts that lead to them, and every change of their lives, each with
// its entry in the platform's trail. It opens no tenant's schema: what is inside is
// seeded and counted by functions it is given. It knows nothing of what a tenant
// sells.
package reseller
