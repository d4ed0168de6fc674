#!/bin/sh
# Creates empty sources for all manifests of the workspace, with the binaries and benches that they name. So cargo can
# build the dependencies before our own sources are copied. Run in the image build only.
set -eu
for manifest in */Cargo.toml */*/Cargo.toml; do
  home=$(dirname "$manifest")
  mkdir -p "$home/src"
  : >"$home/src/lib.rs"
  sed -n 's/^path = "\(src\/.*\.rs\)"$/\1/p' "$manifest" | while read -r path; do
    mkdir -p "$home/$(dirname "$path")"
    echo 'fn main() {}' >"$home/$path"
  done
  sed -n '/^\[\[bench\]\]$/,/^\[/s/^name = "\(.*\)"$/\1/p' "$manifest" | while read -r name; do
    mkdir -p "$home/benches"
    echo 'fn main() {}' >"$home/benches/$name.rs"
  done
done
