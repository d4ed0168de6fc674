#!/bin/sh
# Runs after the build: /out/bin gets the stripped binaries, /out/symbols their debug symbols, and /out/licenses the
# notices of all packages linked into them. Run in the image build only: `collect.sh api worker`.
set -eu
[ "$PROFILE" = dev ] && built=debug || built=$PROFILE
mkdir -p /out/bin /out/symbols /out/licenses
seen=$(mktemp -d)
sources=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/)

# The licence texts of a package, or its declared licence if it has none. A repeated text is only named.
notices() {
  found=no
  for text in "$1"/LICENSE* "$1"/LICENCE* "$1"/COPYING* "$1"/COPYRIGHT* "$1"/NOTICE* "$1"/license*; do
    [ -f "$text" ] || continue
    found=yes
    sum=$(cksum <"$text" | tr ' ' -)
    if [ -f "$seen/$name-$sum" ]; then
      echo "--- ${text##*/}: as that of $(cat "$seen/$name-$sum")"
    else
      echo "${1##*/}" >"$seen/$name-$sum"
      echo "--- ${text##*/}"
      cat "$text"
    fi
  done
  [ $found = yes ] || echo "It ships no licence text. Its manifest says: $(sed -n 's/^license = //p' "$1/Cargo.toml" | head -n 1)"
  headers=$(grep -rhE 'Copyright .*(Signal|Whisper)|SPDX-License-Identifier: .*GPL' "$1/src" 2>/dev/null | sed 's/^[/* ]*//' | sort | uniq -c) || true
  [ -z "$headers" ] || printf -- '--- said by its source files (files, line)\n%s\n' "$headers"
}

for name in "$@"; do
  binary=switchboard-$name
  cp "/target/$built/$binary" "/out/bin/$binary"
  objcopy --only-keep-debug "/out/bin/$binary" "/out/symbols/$binary.debug"
  strip --strip-all "/out/bin/$binary"
  (cd /out/symbols && objcopy --add-gnu-debuglink="$binary.debug" "/out/bin/$binary")
  cargo tree --locked --offline -p "$name" -e normal --prefix none -f '{p}' | sed -n 's/^\([^ ]*\) v\([^ ]*\)\( (proc-macro)\)*\( (\*)\)*$/\1-\2/p' |
    sort -u | while read -r package; do
      for folder in $sources; do
        [ -d "$folder$package" ] || continue
        printf '\n==================== %s\n' "$package"
        notices "$folder$package"
      done
    done >"/out/licenses/$name"
  [ -s "/out/licenses/$name" ] || { echo "no notices were found for $name" >&2; exit 1; }
done
ls -l /out/bin /out/symbols /out/licenses
