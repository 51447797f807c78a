#!/usr/bin/env bash
# Runs every fuzz test for the given time: fuzz.sh 30s
set -euo pipefail
cd "$(dirname "$0")/.."
git grep -lE '^func Fuzz[A-Z]' -- '*_test.go' | while read -r file; do
  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$file" | while read -r name; do
    echo "== $name in $(dirname "$file")"
    go test "./$(dirname "$file")" -run '^$' -fuzz "^$name\$" -fuzztime "$1"
  done
done
