// Package platform knows the outside systems that deliver: how they are reached, what
// each wholesale SKU is on them, what room they have left, and what runs there for all
// tenants. It owns the tables platforms, offers and holds, and reads services, which the
// tenants write through their door. Prices are the wholesale part's business, and how one
// service comes to life is the tenant's.
package platform
