#!/usr/bin/env bash
# The page's built files. `build.sh` writes them to built/; `build.sh --check` compares them with it, byte by byte.
# npm works in build/page of the repository, which git ignores: no package of npm comes to lie in src/.
set -euo pipefail
page=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
room=$(cd "$page/../../../.." && pwd)/build/page
command -v npm > /dev/null || { echo "npm is needed to build the page: install Node.js 20 or newer" >&2; exit 1; }
mkdir -p "$room"
cd "$room"
if ! cmp -s "$page/package-lock.json" .installed; then
  cp "$page"/package.json "$page"/package-lock.json "$page"/.npmrc .
  npm ci --no-progress --loglevel=error
  cp package-lock.json .installed
fi
rm -rf src
cp -r "$page"/{src,build.mjs,package.json,package-lock.json,tsconfig.json} .
npx --no-install tsc --noEmit
node build.mjs
if test "${1:-}" = --check; then
  diff -r built "$page/built" || { echo "built/ is not what src/ gives: run $page/build.sh and commit" >&2; exit 1; }
else
  rm -rf "$page/built"
  cp -r built "$page/built"
fi
