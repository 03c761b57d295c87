#!/bin/bash
#
# deb.sh: builds the Debian package .build/mnedc_VERSION_ARCHITECTURE.deb of the programs in $BUILD, as the Makefile calls it.
#
# It works in a copy of Sources/Packaging/debian below .build, and says on its last line what it has made.

set -euo pipefail

cd "$(dirname "$0")/../.."
top=$PWD
work=$top/.build/deb
version=$(make --silent version)

# Dates of files in the package: those of the sources, so that the same sources make the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
# What is not released yet has no date but that of its sources, and is of the version that the programs say.
today=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%F)

# Each numbered section of CHANGELOG.md, and the one of what is unreleased unless it is empty, with what it says before its
# first list.
changelog() {
  local maintainer number date lead
  maintainer=$(sed -n 's/^Maintainer: //p' Sources/Packaging/debian/control)
  awk -v today="$today" -v version="$version" '
    function finish() { if (number != "" && isFilled) print number "\t" date "\t" lead }
    /^## / {
      finish(); number = ""; lead = ""; isFilled = 0
      if (/^## \[Unreleased\]/) { number = version; date = today }
      if (match($0, /^## \[[0-9][^]]*\]/)) {
        number = substr($0, 5, RLENGTH - 5)
        date = match($0, /[0-9]+-[0-9]+-[0-9]+$/) ? substr($0, RSTART) : today
      }
      inLead = 1; next
    }
    NF { isFilled = 1 }
    /^###/ { inLead = 0 }
    inLead && NF { lead = lead (lead == "" ? "" : " ") $0 }
    END { finish() }' CHANGELOG.md |
    while IFS=$'\t' read -r number date lead; do
      printf 'mnedc (%s-1) unstable; urgency=medium\n\n' "${number/-/\~}"
      fold --spaces --width=72 <<<"${lead:-See changelog.gz.}" | sed -e '1s/^/  * /' -e '2,$s/^/    /' -e 's/ *$//'
      printf '\n -- %s  %s\n\n' "$maintainer" "$(LC_ALL=C date --utc --rfc-email --date="$date")"
    done
}

rm -rf "$work"
mkdir -p "$work/mnedc"
cp -R Sources/Packaging/debian "$work/mnedc/debian"
changelog >"$work/mnedc/debian/changelog"
packaged=$(dpkg-parsechangelog --file "$work/mnedc/debian/changelog" --show-field Version)
if [[ $packaged != "${version/-/\~}-1" ]]; then
  echo "deb: the programs are version $version, but the newest section of CHANGELOG.md is for $packaged" >&2
  exit 65
fi

[[ $BUILD == /* ]] || BUILD=$top/$BUILD
# Swift is no package of Debian, so that what is needed to build cannot be checked (-d); the programs are built already.
(
  cd "$work/mnedc"
  unset DESTDIR PREFIX UNITDIR NETWORKDIR NMCONFDIR SYSCONFDIR MAKEFLAGS MAKELEVEL
  SOURCES=$top BUILD=$BUILD dpkg-buildpackage --build=binary --no-sign -d >"$work/log" 2>&1
) || {
  cat "$work/log" >&2
  echo "deb: dpkg-buildpackage failed" >&2
  exit 70
}
package=mnedc_${packaged}_$(dpkg --print-architecture).deb
mv "$work/$package" .build/
echo ".build/$package"
