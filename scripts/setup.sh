#!/usr/bin/env bash
# Brings what building and testing need, takes what is there, and may be repeated.
#   setup.sh npm    packages of package-lock.json
#   setup.sh tools  Chromium, PgBouncer and poppler's pdftoppm, for the tests
# As root with apt-get they are installed; with a sudo that asks nothing likewise;
# otherwise the packages are unpacked below .tools and touch nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.tools
root=$tools/root
export PATH=$tools/bin:$PATH

say() { echo "setup: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

npm_packages() {
  have node && have npm || { say "Node 20 or newer is needed, with npm"; exit 1; }
  # Scripts of packages are not run: nothing here needs one.
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
}

find_chromium() {
  local c
  for c in "${EZSCALE_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    [ -n "$c" ] && have "$c" && { command -v "$c"; return; }
  done
  for c in "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
    [ -x "$c" ] && { echo "$c"; return; }
  done
  return 1
}

find_pgbouncer() { PATH=$PATH:/usr/sbin command -v pgbouncer; }

# apt_own runs apt-get with all its state below .tools.
apt_own() {
  mkdir -p "$tools"/apt/{lists/partial,cache/archives/partial}
  apt-get -o Dir::State::lists="$tools/apt/lists" -o Dir::Cache="$tools/apt/cache" \
    -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" -qq "$@"
}

# unpack puts the named packages, and whatever of theirs is not installed, below .tools/root.
unpack() {
  apt_own update || say "apt-get update: some lists could not be had"
  local urls
  urls=$(apt_own install --no-install-recommends --print-uris "$@" | sed -n "s/^'\([^']*\)'.*/\1/p")
  [ -n "$urls" ] || { say "apt-get knows no package $*"; return 1; }
  local names
  names=$(apt_own install --no-install-recommends --simulate "$@" | awk '/^Inst /{print $2}')
  mkdir -p "$root" "$tools/debs"
  # shellcheck disable=SC2086 # a list of names
  (cd "$tools/debs" && apt_own download $names)
  local deb
  for deb in "$tools"/debs/*.deb; do dpkg -x "$deb" "$root"; done
  rm -rf "$tools/debs"
}

# wrap makes .tools/bin/<name> start an unpacked program with its unpacked libraries.
wrap() { # name, program
  mkdir -p "$tools/bin"
  local libs
  libs=$(find "$root" -name '*.so*' -type f -exec dirname {} + 2>/dev/null | sort -u | paste -sd: -)
  # The packages' own scripts did not run, so that fontconfig is told where the fonts are.
  cat >"$tools/fonts.conf" <<FONTS
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>$root/usr/share/fonts</dir><cachedir>$tools/fontcache</cachedir></fontconfig>
FONTS
  cat >"$tools/bin/$1" <<WRAP
#!/bin/sh
export LD_LIBRARY_PATH='$libs'"\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export FONTCONFIG_FILE='$tools/fonts.conf'
exec '$2' "\$@"
WRAP
  chmod +x "$tools/bin/$1"
}

install_packages() {
  if have apt-get && [ "$(id -u)" = 0 ]; then
    say "installing $*"
    apt-get -qq update >/dev/null || true
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
  elif have apt-get && have sudo && sudo -n true 2>/dev/null; then
    say "installing $* (sudo)"
    sudo -n apt-get -qq update >/dev/null || true
    sudo -n env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
  elif have apt-get && have dpkg; then
    say "unpacking $* below .tools (no root, no sudo)"
    unpack "$@"
  elif have brew; then
    case $1 in
      chromium) say "installing Chromium with brew"; brew install --cask chromium ;;
      *) brew install "$1" ;;
    esac
  else
    say "install $1 yourself, then try again"
    return 1
  fi
}

test_tools() {
  if ! find_chromium >/dev/null; then
    install_packages chromium fonts-dejavu-core
    have chromium || { [ -x "$root/usr/lib/chromium/chromium" ] && wrap chromium "$root/usr/lib/chromium/chromium"; }
    find_chromium >/dev/null || { say "no Chromium: install it and name it in EZSCALE_CHROMIUM"; exit 1; }
  fi
  if ! find_pgbouncer >/dev/null; then
    install_packages pgbouncer
    find_pgbouncer >/dev/null || { [ -x "$root/usr/sbin/pgbouncer" ] && wrap pgbouncer "$root/usr/sbin/pgbouncer"; }
    find_pgbouncer >/dev/null || { say "no PgBouncer: install it"; exit 1; }
  fi
  if ! have pdftoppm; then
    if have apt-get; then install_packages poppler-utils; else install_packages poppler; fi
    have pdftoppm || { [ -x "$root/usr/bin/pdftoppm" ] && wrap pdftoppm "$root/usr/bin/pdftoppm"; }
    have pdftoppm || { say "no pdftoppm: install poppler"; exit 1; }
  fi
  say "Chromium $(find_chromium), PgBouncer $(find_pgbouncer), $(command -v pdftoppm)"
}

case ${1:-} in
  npm) npm_packages ;;
  tools) test_tools ;;
  *) sed -n '2,6p' "$0"; exit 2 ;;
esac
