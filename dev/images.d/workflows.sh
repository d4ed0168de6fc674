#!/usr/bin/env bash
# Lints .github/workflows: actionlint for errors, zizmor for security problems. Run by `dev/images check`, which sets
# TOOLS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=dev/lib/common.sh
. dev/lib/common.sh

version=v1.7.12
if [ "$(.tools/bin/actionlint -version 2>/dev/null | head -n 1)" != $version ]; then
  if ! command -v go >/dev/null; then
    say "!! NOT CHECKED: workflows with actionlint, because Go is missing"
  else
    GOBIN=$PWD/.tools/bin go install github.com/rhysd/actionlint/cmd/actionlint@$version ||
      say "!! NOT CHECKED: workflows with actionlint, because it can't be had from here"
  fi
fi
if [ -x .tools/bin/actionlint ]; then
  PATH=$TOOLS:$PATH .tools/bin/actionlint
fi
"$TOOLS/zizmor" --offline --no-progress --quiet --persona regular .github/workflows
