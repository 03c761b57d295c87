#!/usr/bin/env python3
"""Registers peers with the Edge Orchestration node of this host, as its own MNEDC server would.

join.on-peer runs it: it registers the peer that has joined, by the environment. If the node does not answer, a copy of this
program stays in the background and registers all peers that are online as soon as the node answers. A node forgets its peers
when it restarts: `register.py --all` registers those that are online then. Only peers whose ID begins with
`edge-orchestration-` have a node. Needs Python 3 alone.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import time

PREFIX = "edge-orchestration-"
PATH = "/api/v1/discoverymgr/register"


def joined():
    """The peer that the environment tells of, if it has just joined."""
    return [json.loads(os.environ["MNEDC_PEER_JSON"])] if os.environ.get("MNEDC_EVENT") == "joined" else []


def online(path):
    """The peers that the daemon knows to be connected."""
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.settimeout(5)
        daemon.connect(path)
        daemon.sendall(b'{"command":"peers","version":1}\n')
        with daemon.makefile("rb") as lines:
            answer = json.loads(lines.readline())
    if "error" in answer:
        raise OSError(answer["error"]["text"])
    return [peer for peer in answer["result"]["peers"] if peer["state"] == "online"]


def register(peer, port):
    # The node does not ask a peer that it has found in its own LAN already, by the private address.
    private = peer.get("place", {}).get("local") or peer["address"]
    body = {"DeviceID": peer["device_id"], "PrivateAddr": private, "VirtualAddr": peer["address"]}
    node = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    node.request("POST", PATH, json.dumps(body), {"Content-Type": "application/json"})
    status = node.getresponse().status
    if status != 200:
        raise OSError(f"the node answers {status} to {peer['device_id']}")


def wait(options):
    """Tries to register all peers that are online until the node answers, or until the daemon has ended."""
    # The name holds for as long as this process runs: one such process is enough.
    with socket.socket(socket.AF_UNIX) as only:
        try:
            only.bind(f"\0mnedc-register-{options.port}")
        except OSError:
            return
        while True:
            time.sleep(options.interval)
            try:
                peers = online(options.socket)
            except (OSError, ValueError):
                return
            try:
                for peer in peers:
                    if peer["device_id"].startswith(PREFIX):
                        register(peer, options.port)
                return
            except (OSError, http.client.HTTPException):
                continue


def wait_in_background(options):
    """The daemon kills what is left of the hook's process group, so the copy gets a session of its own."""
    command = [
        sys.executable, __file__, "--wait", "--socket", options.socket, "--port", str(options.port),
        "--interval", str(options.interval),
    ]  # fmt: skip
    nothing = subprocess.DEVNULL
    subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--all", action="store_true", help="register all peers that are online")
    parser.add_argument("--wait", action="store_true", help="wait for the node, then register all peers that are online")
    parser.add_argument("--socket", default="/run/mnedc/mnedc-join.sock", help="the daemon's (default: %(default)s)")
    parser.add_argument("--port", type=int, default=56002, help="the node's (default: %(default)s)")
    parser.add_argument("--interval", type=float, default=5, help="seconds between attempts (default: %(default)s)")
    options = parser.parse_args()
    if options.wait:
        return wait(options)
    try:
        for peer in online(options.socket) if options.all else joined():
            if peer["device_id"].startswith(PREFIX):
                register(peer, options.port)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if not options.all:
            wait_in_background(options)
        sys.exit(f"register: cannot register with the node at 127.0.0.1:{options.port}: {error}")


if __name__ == "__main__":
    main()
