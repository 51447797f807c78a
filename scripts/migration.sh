#!/usr/bin/env bash
# Starts a numbered migration: migration.sh tenant|central name
set -euo pipefail
cd "$(dirname "$0")/.."
plane=${1:-} name=${2:-}
case $plane in tenant | central) ;; *) echo "plane must be tenant or central" >&2; exit 2 ;; esac
[[ $name =~ ^[a-z][a-z0-9_]*$ ]] || { echo "usage: make migration name=add_notes [plane=central]" >&2; exit 2; }
last=$(find "migrations/$plane" -name '[0-9]*.sql' -exec basename {} \; | sort | tail -1 | cut -c1-4)
file=$(printf 'migrations/%s/%04d_%s.sql' "$plane" $((10#${last:-0} + 1)) "$name")
{
  echo "-- What this is for, in one sentence."
  echo "-- Safe while the code before it still runs: expand now, contract in a later release."
  [ "$plane" = tenant ] && echo "-- No schema is named here, no column is added with a default, no type is altered."
  echo
} >"$file"
echo "$file"
