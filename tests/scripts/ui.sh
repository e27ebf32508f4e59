#!/usr/bin/env bash
# Builds the browser's part, which cargo then puts into the binary. Does nothing when it is newer than its sources.
set -euo pipefail
cd "$(dirname "$0")/../../web/ui"
if [ -f dist/index.html ] &&
  [ -z "$(find . -path ./node_modules -prune -o -path ./dist -prune -o -path ./.e2e -prune -o -path ./e2e -prune -o -type f -newer dist/index.html -print -quit)" ]; then
  exit 0
fi
echo 'ui: building web/ui/dist'
npm run --silent build
touch dist/index.html
