#!/usr/bin/env bash
# Runs every fuzz target of the module for a short while: fuzz.sh 10s
set -euo pipefail
time=${1:-10s}
go=${GO:-go}
failed=0
for p in $($go list ./...); do
  for f in $($go test -list '^Fuzz' "$p" | grep '^Fuzz' || true); do
    echo "== $p $f for $time"
    # Making every interesting input small would take most of a short run.
    $go test -run '^$' -fuzz "^$f\$" -fuzztime "$time" -fuzzminimizetime 100x "$p" || failed=1
  done
done
exit $failed
