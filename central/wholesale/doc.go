// Package wholesale owns what the platform charges its resellers: the price book with
// the days each price holds, the tiers and who is on which, the monthly run that turns
// the usage ledger into immutable invoices with their evidence, the money taken for
// them, and the audit that compares services as they ran with usage as it was billed.
//
// It reads the central schema alone. It does not deliver anything, knows no retail
// price, opens no tenant's schema and asks no gateway inside a transaction.
package wholesale
