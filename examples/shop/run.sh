#!/bin/bash
#
# run.sh: a head office and two shops, each behind its own routers: a till sends an order to the office, one shop asks the other
# for its stock, and the office views a shop's camera. Runs in namespaces of this machine (root).
#
# The configuration files beside this script are those of the real hosts, with the commands for each.

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=examples/steps.sh
source "$here/../steps.sh"
need curl curl
need python3 python3

step "The office is the lab's relay, the shop in the north is under r1, the one in the south under r3"
network
for host in "till-north r1" "cam-north r1" "till-south r3"; do
  # shellcheck disable=SC2086 # the name and the router
  add $host
done

step "The office starts the relay, and each device joins with an invite of its own"
configure relay "$here/office.yaml"
relay
for host in till-north cam-north till-south; do
  configure "$host" "$here/$host.yaml"
  join "$host"
done

step "The programs of the shop start"
start relay "$here/shop.py" orders
start till-north "$here/shop.py" stock tea=12 coffee=0
start till-south "$here/shop.py" stock tea=2 coffee=7
start cam-north "$here/../mqtt-camera/camera.py"
eventually on relay curl --silent --fail http://till-north.mnedc:8080/stock/tea
eventually on relay curl --silent --fail http://till-south.mnedc:8080/stock/tea
eventually on till-north curl --silent --fail http://office.mnedc:8080/orders
eventually on relay curl --silent --fail --output "$work/picture.jpg" http://cam-north.mnedc:8081/picture.jpg
on relay mnedc-peers | shown

step "The till in the north orders coffee at the office"
on till-north curl --silent --fail --data '{"item": "coffee", "number": 10}' http://office.mnedc:8080/orders | shown
grep -q coffee < <(on relay curl --silent --fail http://office.mnedc:8080/orders) || fail "the office has no such order"
good "the office has the order"

step "Until it comes, the till in the north asks all shops for coffee"
eventually on till-north "$here/shop.py" find coffee
shown <"$work/out"
grep -qx "till-south: 7" "$work/out" || fail "the shop in the south did not tell of its stock"
good "the shop in the south has some"

step "The office looks through the camera in the north"
on relay curl --silent --fail --output "$work/picture.jpg" http://cam-north.mnedc:8081/picture.jpg || fail "no picture"
good "a picture of $(stat --format=%s "$work/picture.jpg") bytes"
