#!/usr/bin/env bash
# All checks, with a summary at the end. Run it by make test, which sets up first.
set -uo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS
failed=()
lines=()

step() { # name, command…
  local name=$1 at=$SECONDS
  shift
  echo "== $name"
  if "$@"; then
    lines+=("$(printf 'ok    %-8s %4d s' "$name" $((SECONDS - at)))")
  else
    failed+=("$name")
    lines+=("$(printf 'FAIL  %-8s %4d s' "$name" $((SECONDS - at)))")
  fi
}

formatted() {
  local wrong
  wrong=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
  [ -z "$wrong" ] || { echo "not formatted (gofmt -w):"; echo "$wrong"; return 1; }
}

# -vet=off: the step before did it, for every package at once.
# -ldflags: a test's program without symbols for a debugger is linked in two thirds of the time.
gotest=(go test -vet=off '-ldflags=-s -w' -timeout 20m)

tests() {
  # The program they start is the one make test has just built.
  export EZSCALE_TEST_PROGRAM="${EZSCALE_TEST_PROGRAM-$PWD/bin/ezscale}"
  # What a person does in a browser is one long row of steps, which nothing can make shorter
  # than it is alone. It goes first at every moment, and all else takes what it leaves.
  local said rc=0
  said=$(mktemp)
  "${gotest[@]}" ./cmd/ezscale/e2e >"$said" 2>&1 &
  local walk=$!
  # -p: every package with a database starts a PostgreSQL of its own. Two more than there
  # are cores, for many wait more than they work: for killed processes, for locks, for
  # orders of certificates, for browsers; the walk works a third of its time. The longest
  # begin first, so that none of them is left over at the end.
  # shellcheck disable=SC2046 # a list of packages
  nice -n 10 "${gotest[@]}" -p "${TEST_PARALLEL:-$(($(getconf _NPROCESSORS_ONLN) + 2))}" \
    ./cmd/ezscale/faults ./tenant/web ./branding/domain ./tenancy \
    ./central/web ./tenant/renewal ./cmd/ezscale/twinhouse ./central/wholesale ./tenancy/fleet ./cmd/ezscale/demo \
    $(go list ./... | grep -v '/cmd/ezscale/e2e$') || rc=1
  wait "$walk" || rc=1
  cat "$said"
  rm -f "$said"
  return $rc
}

step format formatted
step vet go vet ./...
step tests tests

echo
echo "make test:"
printf '  %s\n' "${lines[@]}"
printf '  in all %d s\n' $((SECONDS - began))
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED: ${failed[*]}"
  exit 1
fi
echo "All passed. (make lint runs the linters.)"
