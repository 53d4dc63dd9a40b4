#!/usr/bin/env bash
# Runs the Chroma server that the chromadb npm package ships, in the foreground. Its native part needs
# glibc 2.39; where the system's is older (Debian 12, Ubuntu 22.04) newer libraries from Debian 13 are
# unpacked into a private folder, never installed, and node runs under their loader.
#
#   chroma-server.sh PACKAGE_DIR run --path DATA_DIR --host 127.0.0.1 --port PORT
#                                          PACKAGE_DIR: a folder whose node_modules has chromadb
#
# Ready when GET /api/v2/heartbeat answers. Stop it with SIGKILL: under the private loader SIGTERM
# closes the port but the process spins on. Exits with 2 where it cannot run, with the reason on stderr.
set -euo pipefail
package=$(cd "$1" && pwd)
shift
cli=$package/node_modules/chromadb/dist/cli.mjs
fail() { echo "chroma-server: $*" >&2; exit 2; }
[ -f "$cli" ] || fail "no chromadb in $package/node_modules (npm install chromadb)"

if [ "$(uname -s)" != Linux ]; then exec node "$cli" "$@"; fi
have=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/.* //')
[ -n "$have" ] || fail "its native part needs glibc, which this Linux does not use"
if [ "$(printf '%s\n2.39\n' "$have" | sort -V | head -n1)" = 2.39 ]; then exec node "$cli" "$@"; fi

[ "$(uname -m)" = x86_64 ] || fail "glibc $have is older than 2.39, and newer libraries are fetched for x86_64 only"
command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
  fail "glibc $have is older than 2.39; newer libraries are fetched only where apt-get is there"
root=${CHROMA_GLIBC_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/chroma-glibc}
libraries=$root/root/usr/lib/x86_64-linux-gnu
if [ ! -x "$libraries/ld-linux-x86-64.so.2" ]; then
  # Made beside and moved into place, so that two that start at once do not meet half a folder.
  work=$(mktemp -d "${root%/*}/chroma-glibc.XXXXXX" 2>/dev/null || { mkdir -p "${root%/*}"; mktemp -d "${root%/*}/chroma-glibc.XXXXXX"; })
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work"/{lists/partial,cache/archives/partial,etc/preferences.d,etc/apt.conf.d,state,debs,root}
  : >"$work/state/status"
  mirror=$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  [ -n "$mirror" ] || mirror=$(awk '$1=="deb"{for(i=2;i<=NF;i++) if ($i ~ /^http/) {print $i; exit}}' /etc/apt/sources.list 2>/dev/null || true)
  [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] && [ -n "$mirror" ] ||
    fail "glibc $have is older than 2.39, and this system has no Debian mirror to fetch a newer one from"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/etc/sources.list"
  printf 'Dir "%s";\nDir::State "%s/state";\nDir::State::status "%s/state/status";\nDir::State::lists "%s/lists";\nDir::Cache "%s/cache";\nDir::Etc "%s/etc";\nDir::Etc::sourcelist "%s/etc/sources.list";\nDir::Etc::sourceparts "-";\nAPT::Sandbox::User "";\n' \
    "$work" "$work" "$work" "$work" "$work" "$work" "$work" >"$work/apt.conf"
  (
    export APT_CONFIG=$work/apt.conf
    apt-get -qq update && cd "$work/debs" && apt-get -qq download libc6 libgcc-s1 libstdc++6
  ) >&2 || fail "glibc $have is older than 2.39, and a newer one could not be fetched from $mirror"
  for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done
  rm -rf "$root.old"; [ ! -e "$root" ] || mv "$root" "$root.old"
  mv "$work" "$root" 2>/dev/null || [ -x "$libraries/ld-linux-x86-64.so.2" ] || fail "cannot write $root"
  trap - EXIT
fi
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$(command -v node)" "$cli" "$@"
