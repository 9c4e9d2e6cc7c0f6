#!/usr/bin/env bash
# Runs "go test" with its arguments. A test that fails is run once more, alone: an emulated machine, or the kernel we
# are compared with, may starve on a busy host. Both runs are in the output, and the last line names what needed
# the second. What fails twice fails, and so does, at once, what crashes, hangs, races or does not build.
set -uo pipefail
go=${GO:-go}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$go" test "$@" 2>&1 | tee "$log" && exit 0
grep -qE '^panic:|^fatal error:|DATA RACE|\[(build|setup) failed\]|^FAIL: |test timed out' "$log" && exit 1

# Lines "package test|test|...": the names stand before their package's line.
again=$(awk '
  /^--- FAIL: / { names = names (names == "" ? "" : "|") $3 }
  /^FAIL\t/     { if (names == "") exit 1; print $2, names; names = "" }
  /^ok[ \t]/    { names = "" }' "$log") || exit 1
[ -n "$again" ] || exit 1
while read -r package names; do
  echo "once more, alone: $package $names"
  "$go" test -count=1 -v -timeout 10m -run "^($names)\$" "$package" || exit 1
done <<<"$again"
echo "failed at first and passed alone:" $again
