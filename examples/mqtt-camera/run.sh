#!/bin/bash
#
# run.sh: an MQTT broker behind one NAT, a sensor behind two, which finds the broker by its service, and a camera behind a third
# router, viewed from the main LAN. Runs in namespaces of this machine (root).
#
# broker.yaml has the commands for the broker's host. The other hosts need only an invite and no file.

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=examples/steps.sh
source "$here/../steps.sh"
need curl curl
need jq jq
need python3 python3
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
PATH=$PATH:/usr/sbin:/sbin

step "Broker, sensor, camera and viewer are each under another router"
network
for host in "broker r1" "sensor r3" "camera r2" "viewer main"; do
  # shellcheck disable=SC2086 # the name and the router
  add $host
done

step "They join"
relay
configure broker "$here/broker.yaml"
join broker
for host in sensor camera viewer; do
  join "$host"
done

step "The broker starts; the camera does, and tells the others"
start broker mosquitto -c "$here/mosquitto.conf"
start camera "$here/camera.py"
on camera mnedc-ctl announce --up camera --port 8081 --protocol http >"$work/out"
eventually on viewer sh -c 'mnedc-peers --service camera --state online | grep camera'
eventually on sensor sh -c 'mnedc-peers --service mqtt --state online | grep broker'
on viewer mnedc-peers | shown

step "The sensor publishes to whoever offers mqtt; the viewer subscribes to broker.mnedc"
start viewer mosquitto_sub -h broker.mnedc -t 'load/#' -v
eventually on broker sh -c 'ss -Htn state established sport = 1883 | grep -q .'
start sensor "$here/sensor.sh"
eventually grep load/sensor "$work/mosquitto_sub on viewer.log"
shown <"$work/out"
good "what the sensor measured has arrived"

step "The viewer looks through camera.mnedc"
eventually on viewer curl --silent --fail --output "$work/picture.jpg" http://camera.mnedc:8081/picture.jpg
good "a picture of $(stat --format=%s "$work/picture.jpg") bytes"
on viewer curl --silent --max-time 2 --output "$work/stream" http://camera.mnedc:8081/stream || true
pictures=$(grep --text --count -- '^--picture' "$work/stream")
((pictures > 1)) || fail "no stream of pictures"
good "a stream: $pictures pictures in two seconds"
