#!/bin/sh
# A command for join.on-peer: writes a line for each event of a peer.
#
#     join: {on-peer: [/usr/local/share/doc/mnedc/examples/on-peer.sh, /var/lib/mnedc-join/peers.log]}
#
# The environment has MNEDC_EVENT (joined, left, changed), MNEDC_PEER_ID, MNEDC_PEER_ADDRESS, MNEDC_PEER_ADDRESS6,
# MNEDC_PEER_PLATFORM, MNEDC_PEER_SERVICES (names with commas between them), MNEDC_PEER_JSON and MNEDC_INTERFACE.
set -eu

printf '%s %s %s (%s) %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$MNEDC_EVENT" "$MNEDC_PEER_ID" "$MNEDC_PEER_ADDRESS" \
  "$MNEDC_PEER_PLATFORM" "$MNEDC_PEER_SERVICES" >>"${1:?name the file to write to}"
