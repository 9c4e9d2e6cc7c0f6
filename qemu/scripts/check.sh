#!/usr/bin/env bash
# What every Go file of the tree must pass: gofmt and go vet.
set -euo pipefail
go=${GO:-go}
unformatted=$(find . -name '*.go' -not -path './build/*' -not -path './.git/*' -print0 | xargs -0 gofmt -l)
if [ -n "$unformatted" ]; then
  echo "not as gofmt writes it:" >&2
  echo "$unformatted" >&2
  exit 1
fi
$go vet ./...
