#!/usr/bin/env bash
# Tests on a Citus cluster, which they start themselves; PostgreSQL must have Citus.
set -uo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS
failed=()
lines=()

step() { # name, command…
  local name=$1 at=$SECONDS verdict=ok
  shift
  echo "== $name"
  "$@" || { verdict=FAIL && failed+=("$name"); }
  lines+=("$(printf '%-5s %-11s %4d s' "$verdict" "$name" $((SECONDS - at)))")
}

gotest=(go test -vet=off '-ldflags=-s -w' -count=1 -timeout 40m)
on_citus=(env EZSCALE_TEST_CITUS=1 "${gotest[@]}")

# The slices of a reseller's business. The two whose tests take longest are left to the
# statements, as are pages and twins.
mapfile -t slices < <(go list ./tenant/... ./branding ./tenancy/audit ./tenancy/identity/... | grep -v '/tenant/\(web\|renewal\)')

# Every statement that the tests send as tenants, on one PostgreSQL and as if it were a
# cluster, is sent to a cluster again and must be answered the same.
statements() {
  local dir
  dir=$(mktemp -d) && chmod 777 "$dir" || return 1
  EZSCALE_TEST_STATEMENTS=$dir "${gotest[@]}" -p 3 ./tenant/web ./tenant/renewal ./cmd/ezscale/twinhouse "${slices[@]}" ./branding/... ./central/twin &&
    EZSCALE_TEST_STATEMENTS=$dir "${on_citus[@]}" ./tenancy -run TestCitusAnswersAsPostgres -v | grep -v '^=== '
  local rc=$?
  rm -rf "$dir"
  return $rc
}

step kernel "${on_citus[@]}" -p 1 ./tenancy ./tenancy/queue ./tenancy/fleet
step program "${on_citus[@]}" ./cmd/ezscale/faults -run 'TestKilledEverywhere|TestTwoNodes|TestADropped'
step slices "${on_citus[@]}" -p 2 "${slices[@]}"
step statements statements

echo
echo "make test-citus:"
printf '  %s\n' "${lines[@]}"
printf '  in all %d s\n' $((SECONDS - began))
[ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}"; exit 1; }
