#!/bin/sh
# Installs ocibundle from a release: curl -fsSL https://github.com/ocibundle/ocibundle/releases/latest/download/install.sh | sh
#
#   install.sh [--version VERSION] [--prefix DIR]
#
# --version VERSION  a release such as 0.1.0; the latest unless given
# --prefix DIR       where bin/ocibundle goes; /usr/local for root, else ~/.local, unless given
#
# OCIBUNDLE_RELEASE_URL: the directory that has the files of a release, in place of GitHub's
set -eu

repository=https://github.com/ocibundle/ocibundle

fail() {
  printf 'error: %s\n' "$1" >&2
  [ "$#" -lt 2 ] || printf 'hint: %s\n' "$2" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

download() { # URL FILE
  if has curl; then
    curl -fsSL --retry 3 -o "$2" "$1"
  elif has wget; then
    wget -q -O "$2" "$1"
  else
    fail "curl or wget is required"
  fi
}

sha256() { # FILE
  if has sha256sum; then
    sha256sum "$1"
  elif has shasum; then
    shasum -a 256 "$1"
  elif has openssl; then
    openssl dgst -sha256 -r "$1"
  else
    fail "sha256sum, shasum or openssl is required to verify the download"
  fi | cut -d ' ' -f 1
}

# Whether programs of this system use musl: its loader is there, and glibc's is not.
is_musl() {
  for loader in /lib/ld-linux-x86-64.so.2 /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do
    [ ! -e "$loader" ] || return 1
  done
  for loader in /lib/ld-musl-*.so.1; do
    [ ! -e "$loader" ] || return 0
  done
  return 1
}

target() {
  system=$(uname -s)
  machine=$(uname -m)
  case $machine in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) fail "there is no binary for the architecture \"$machine\"" ;;
  esac
  case $system in
    Linux)
      libc=''
      ! is_musl || libc=-musl
      cpu=''
      if [ "$arch" = amd64 ] && [ -r "$cpuinfo" ] && ! grep -qw avx2 "$cpuinfo"; then cpu=-baseline; fi
      echo "linux-$arch$libc$cpu"
      ;;
    Darwin)
      # A shell under Rosetta calls an arm64 machine x86_64.
      if [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then arch=arm64; fi
      echo "darwin-$arch"
      ;;
    MINGW* | MSYS* | CYGWIN* | Windows*)
      fail "this script does not install on Windows" "download ocibundle-windows-amd64.zip from $repository/releases"
      ;;
    *) fail "there is no binary for the operating system \"$system\"" ;;
  esac
}

main() {
  version=''
  prefix=''
  cpuinfo=${OCIBUNDLE_CPUINFO:-/proc/cpuinfo}
  while [ "$#" -gt 0 ]; do
    case $1 in
      --version | --prefix)
        if [ "$#" -lt 2 ] || [ -z "$2" ]; then fail "$1 needs a value"; fi
        if [ "$1" = --version ]; then version=${2#v}; else prefix=$2; fi
        shift 2
        ;;
      --version=*) version=${1#--version=} version=${version#v} && shift ;;
      --prefix=*) prefix=${1#--prefix=} && shift ;;
      -h | --help)
        printf 'usage: install.sh [--version VERSION] [--prefix DIR]\n'
        exit 0
        ;;
      *) fail "unknown argument \"$1\"" "usage: install.sh [--version VERSION] [--prefix DIR]" ;;
    esac
  done
  if [ -z "$prefix" ]; then
    if [ "$(id -u)" -eq 0 ]; then prefix=/usr/local; else prefix=${HOME:?}/.local; fi
  fi
  if [ -n "${OCIBUNDLE_RELEASE_URL:-}" ]; then
    url=${OCIBUNDLE_RELEASE_URL%/}
  elif [ -n "$version" ]; then
    url=$repository/releases/download/v$version
  else
    url=$repository/releases/latest/download
  fi

  name=ocibundle-$(target).tar.gz
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  download "$url/SHA256SUMS" "$work/SHA256SUMS" || fail "cannot download $url/SHA256SUMS"
  expected=$(awk -v name="$name" '$2 == name { print $1 }' "$work/SHA256SUMS")
  [ -n "$expected" ] || fail "the release has no $name" "see $repository/releases for what it has"
  download "$url/$name" "$work/$name" || fail "cannot download $url/$name"
  found=$(sha256 "$work/$name")
  [ "$found" = "$expected" ] || fail "$name has the SHA-256 $found instead of $expected" "download it again; if that does not help, the release was tampered with"
  (cd "$work" && gzip -dc "$name" | tar -xf - ocibundle) || fail "$name cannot be unpacked"
  # Nothing is replaced by what does not run here.
  said=$("$work/ocibundle" --version 2>&1) || fail "the binary does not run here: $said" "on Alpine: apk add libstdc++ libgcc"
  if [ -n "$version" ]; then
    case " $said " in
      *" $version "*) ;;
      *) fail "the release has \"$said\" instead of version $version" ;;
    esac
  fi
  mkdir -p "$prefix/bin" || fail "cannot create $prefix/bin" "use --prefix with a directory of your own"
  # A rename is all or nothing, and leaves a running program alone.
  new=$prefix/bin/.ocibundle.$$
  if ! { cp "$work/ocibundle" "$new" && chmod 755 "$new" && mv -f "$new" "$prefix/bin/ocibundle"; }; then
    rm -f "$new"
    fail "cannot write $prefix/bin/ocibundle" "use --prefix with a directory of your own"
  fi
  printf 'installed ocibundle %s as %s\n' "$said" "$prefix/bin/ocibundle"
  case :$PATH: in
    *:"$prefix/bin":*) ;;
    *) printf 'note: %s is not on the PATH\n' "$prefix/bin" ;;
  esac
}

# Nothing runs before all of the script has arrived.
main "$@"
