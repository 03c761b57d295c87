#!/bin/bash
#
# no-foundation.sh DIRECTORY: fails if a program there links the full Foundation or its ICU.
#
# FoundationEssentials alone is allowed: it has no ICU, which is 40 MB by itself.

set -euo pipefail

found=0
for program in mnedcd mnedc-join mnedc-peers mnedc-ctl; do
  file=$1/$program
  if [[ ! -x $file ]]; then
    echo "no-foundation: $file is not there" >&2
    found=1
    continue
  fi
  linked=$(ldd "$file" | grep -Eo '^\s*(libFoundation|libFoundationInternationalization|lib_FoundationICU)\.so' || true)
  # A static program has no libraries to list, but it would have ICU's data.
  linked+=$(grep -Eaom1 'icudt[0-9]{2}' "$file" | head -n 1 || true)
  if [[ -n $linked ]]; then
    echo "no-foundation: $program links ${linked//[[:space:]]/ }" >&2
    found=1
  fi
done
exit $found
