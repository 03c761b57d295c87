#!/bin/bash
#
# unit.sh COMMAND...: runs the unit tests with COMMAND and repeats at the end what failed. After 20 minutes it ends them,
# and says which of them had begun and what their threads wait for.

set -uo pipefail
limit=1200
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Output goes line by line, or a buffer would keep the last lines, which tell what hangs. By the session of their own,
# all of their processes are found.
setsid stdbuf --output=L "$@" >"$log" 2>&1 &
tests=$!
trap 'end; exit 130' INT TERM
tail --follow --lines=+1 --pid="$tests" "$log" &
shown=$!

# Where the lines of two tests were written into each other, one too many is listed.
unfinished() {
  awk '
    !sub(/^[^ ]+ Test /, "") || /^(run|case) / { next }
    sub(/ started\.$/, "") { begun[$0]++ }
    sub(/( with [0-9]+ test cases)? (passed|failed) after .*/, "") { begun[$0]-- }
    END { for (test in begun) if (begun[test] > 0) print "  " test }
  ' "$log"
}

processes() {
  # Behind the name, which may have spaces in it: state, parent, group, session.
  sed -n "s/^\([0-9]*\) (.*) . [0-9]* [0-9]* $tests .*/\1/p" /proc/[0-9]*/stat 2>/dev/null
}

end() {
  local process
  for process in $(processes); do kill -KILL "$process"; done 2>/dev/null
}

threads() {
  local process task
  for process in $(processes); do
    for task in /proc/"$process"/task/*; do
      echo "  process $process ($(<"/proc/$process/comm")), thread $(<"$task/comm"): $(<"$task/wchan")"
    done
  done 2>/dev/null
}

while kill -0 "$tests" 2>/dev/null; do
  if ((SECONDS >= limit)); then
    report=$(
      echo "The unit tests do not end within $limit s. These have begun and have not ended:"
      unfinished
      echo "Their threads wait in:"
      threads
    )
    end
    wait "$shown"
    echo "$report" >&2
    exit 1
  fi
  sleep 1
done
wait "$shown"
wait "$tests"
status=$?
if ((status != 0)); then grep --text '^✘' "$log" >&2; fi
exit "$status"
