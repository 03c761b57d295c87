#!/bin/bash
#
# install.sh install|uninstall: copies what `make build` has made to where the system looks for it, or takes it away again.
#
# The Makefile calls it, with these in the environment:
#
#   PREFIX      where the programs look for nothing and the system for everything, such as /usr/local
#   DESTDIR     stands before every path but in none of them: where a package is put together
#   SYSCONFDIR  the directory of the example configuration's directory, /etc
#   UNITDIR     where systemd looks for units
#   NETWORKDIR  where systemd-networkd looks for how to treat interfaces
#   NMCONFDIR   where NetworkManager looks for parts of its configuration
#   BUILD       the directory of the programs
#   STRIP       what leaves their symbols out; `:` keeps them
#
# What it has made stands in a list below PREFIX, directories too, so that nothing else goes when it is taken away.

set -euo pipefail

cd "$(dirname "$0")/../.."
: "${PREFIX:?}" "${SYSCONFDIR:?}" "${UNITDIR:?}" "${NETWORKDIR:?}" "${NMCONFDIR:?}" "${BUILD:?}" "${STRIP:?}"
DESTDIR=${DESTDIR:-}
list=$PREFIX/share/mnedc/installed
daemons=(mnedcd mnedc-join)
tools=(mnedc-peers mnedc-ctl)
doc=$PREFIX/share/doc/mnedc
temporary=

fail() {
  echo "install: $*" >&2
  exit 1
}

for path in "$PREFIX" "$SYSCONFDIR" "$UNITDIR" "$NETWORKDIR" "$NMCONFDIR"; do
  [[ $path == /* && $path != *$'\n'* ]] || fail "'$path' is no absolute path; say PREFIX=/usr/local or the like"
done

# note KIND PATH: that this is ours, once.
note() { grep -Fqx -- "$1 $2" "$DESTDIR$list" || printf '%s %s\n' "$1" "$2" >>"$DESTDIR$list"; }

# Makes the list, and the directories for it.
begin() {
  local path missing=()
  path=${list%/*}
  while [[ -n $path && ! -d $DESTDIR$path ]]; do
    missing=("$path" "${missing[@]}")
    path=${path%/*}
  done
  install -d -m 755 "$DESTDIR${list%/*}" || fail "cannot write below $DESTDIR$PREFIX; choose another PREFIX, or be root"
  [[ -e $DESTDIR$list ]] || : >"$DESTDIR$list"
  for path in "${missing[@]}"; do note directory "$path"; done
  note file "$list"
}

# directory PATH: makes it and what is missing above it.
directory() {
  [[ ! -d $DESTDIR$1 ]] || return 0
  [[ -z ${1%/*} ]] || directory "${1%/*}"
  install -d -m 755 "$DESTDIR$1" || fail "cannot make $DESTDIR$1"
  note directory "$1"
}

# put MODE SOURCE TARGET
put() {
  directory "${3%/*}"
  install -m "$1" "$2" "$DESTDIR$3"
  note file "$3"
  echo "$DESTDIR$3"
}

# replaced FILE WORD TEXT [WORD TEXT]...: makes $temporary, a copy of FILE in which each WORD is its TEXT.
replaced() {
  local text
  text=$(<"$1")
  shift
  while (($# > 1)); do
    text=${text//"$1"/"$2"}
    shift 2
  done
  temporary=$(mktemp)
  printf '%s\n' "$text" >"$temporary"
}

# put_with_paths MODE SOURCE TARGET [DOC]: puts a copy of a file that names the documents where they are installed; DOC is how
# the file writes that.
put_with_paths() {
  replaced "$2" /usr/local/share/doc/mnedc "${4:-$doc}"
  put "$1" "$temporary" "$3"
  rm -f "$temporary"
}

programs() {
  local program
  for program in "${daemons[@]}"; do put 755 "$BUILD/$program" "$PREFIX/sbin/$program"; done
  for program in "${tools[@]}"; do put 755 "$BUILD/$program" "$PREFIX/bin/$program"; done
  for program in "${daemons[@]/#/sbin/}" "${tools[@]/#/bin/}"; do "$STRIP" "$DESTDIR$PREFIX/$program"; done
}

pages() {
  local page written
  # To mdoc, a backslash and a space have a meaning.
  written=${doc//\\/\\e}
  written=${written// /\\ }
  for page in man/*.[1-8]; do
    put_with_paths 644 "$page" "$PREFIX/share/man/man${page##*.}/${page##*/}" "$written"
  done
}

completions() {
  local file
  for file in completions/bash/*; do put 644 "$file" "$PREFIX/share/bash-completion/completions/${file##*/}"; done
  for file in completions/zsh/*; do put 644 "$file" "$PREFIX/share/zsh/site-functions/${file##*/}"; done
  for file in completions/fish/*; do put 644 "$file" "$PREFIX/share/fish/vendor_completions.d/${file##*/}"; done
}

# Units name the programs by their full path, in which systemd gives some characters a meaning.
units() {
  local unit prefix=$PREFIX
  prefix=${prefix//\\/\\\\}
  prefix=${prefix//%/%%}
  prefix=${prefix//\$/\$\$}
  prefix=${prefix// /\\x20}
  for unit in Sources/Packaging/systemd/*.in; do
    replaced "$unit" @sbindir@ "$prefix/sbin" @bindir@ "$prefix/bin"
    unit=${unit##*/}
    put 644 "$temporary" "$UNITDIR/${unit%.in}"
    rm -f "$temporary"
  done
  put 644 Sources/Packaging/sysusers.d/mnedc.conf "$PREFIX/lib/sysusers.d/mnedc.conf"
}

# Has systemd-networkd and NetworkManager leave the interfaces alone.
managers() {
  put 644 Sources/Packaging/network/05-mnedc.network "$NETWORKDIR/05-mnedc.network"
  put 644 Sources/Packaging/NetworkManager/mnedc.conf "$NMCONFDIR/mnedc.conf"
}

# All but the demo, which runs the programs of this directory.
examples() {
  local file mode
  while IFS= read -r file; do
    [[ -x $file ]] && mode=755 || mode=644
    put_with_paths "$mode" "$file" "$doc/$file"
  done < <(find examples -type f ! -name demo.sh ! -name '*.pyc' | LC_ALL=C sort)
}

# An example beside the place of the configuration, which is the administrator's.
configuration() {
  put_with_paths 644 examples/mnedc.yaml "$SYSCONFDIR/mnedc/mnedc.yaml.example"
}

uninstall() {
  [[ -e $DESTDIR$list ]] || fail "there is no $DESTDIR$list, where installing says what it made; is PREFIX as it was then?"
  local kind path entries
  # Every directory stands behind the one that it is in, so that they go the other way round.
  mapfile -t entries < <(tac "$DESTDIR$list")
  for path in "${entries[@]}"; do
    kind=${path%% *}
    path=$DESTDIR${path#* }
    case $kind in
      file) [[ ! -e $path ]] || { rm -f -- "$path" && echo "removed $path"; } ;;
    esac
  done
  for path in "${entries[@]}"; do
    [[ ${path%% *} != directory ]] || rmdir --ignore-fail-on-non-empty -- "$DESTDIR${path#* }" 2>/dev/null || true
  done
}

trap '[[ -z $temporary ]] || rm -f "$temporary"' EXIT

case ${1:-} in
  install)
    for program in "${daemons[@]}" "${tools[@]}"; do
      [[ -x $BUILD/$program ]] || fail "$BUILD/$program is not built; 'make build' builds it"
    done
    begin
    programs
    pages
    completions
    units
    managers
    examples
    configuration
    ;;
  uninstall) uninstall ;;
  *)
    echo "usage: install.sh install|uninstall, as the Makefile calls it" >&2
    exit 64
    ;;
esac
