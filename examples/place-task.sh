#!/bin/sh
# Runs a command for the least loaded device that offers a service: place-task.sh COMMAND [ARGUMENT...]
# The command gets the device's address in PEER and the service's port in PORT. Needs jq.
#
#     place-task.sh sh -c 'curl -T photo.jpg "http://$PEER:$PORT/detect"'
set -eu

: "${MNEDC_PEERS:=mnedc-peers}" "${SERVICE:=detector}" "${PLATFORM:=linux/arm64}"
if [ $# -eq 0 ]; then
  echo "usage: place-task.sh COMMAND [ARGUMENT...]" >&2
  exit 64
fi

# shellcheck disable=SC2086 # MNEDC_PEERS may have options.
found=$($MNEDC_PEERS --service "$SERVICE" --platform "$PLATFORM" --state online --sort load --limit 1 --json)

PEER=$(printf '%s' "$found" | jq -r '.peers[0].address // empty')
PORT=$(printf '%s' "$found" | jq -r --arg name "$SERVICE" '.peers[0].services // [] | .[] | select(.name == $name).port // empty')
if [ -z "$PEER" ]; then
  echo "place-task.sh: no device offers $SERVICE on $PLATFORM now; mnedc-peers --fetch asks all" >&2
  exit 69
fi
export PEER PORT
exec "$@"
