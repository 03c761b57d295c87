#!/usr/bin/env python3
"""Lists this device for nodes of the Edge Home Orchestration project: answers GET /api/v1/discoverymgr/orchestrationinfo and
GET /api/v1/ping on its virtual address. It lists only: it has no score and runs no tasks.

The answers are this device's orchestration information, which the bridge asks from the daemon's local socket at each request.
For a device without an execution type or services, --execution-type and --service give the answer. Needs Python 3 only.
"""

import argparse
import http.server
import json
import socket
import sys

INFORMATION = "/api/v1/discoverymgr/orchestrationinfo"
PING = "/api/v1/ping"


def ask(path):
    """The daemon's answer to `peers`."""
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.settimeout(5)
        daemon.connect(path)
        daemon.sendall(b'{"command":"peers","version":1}\n')
        with daemon.makefile("rb") as lines:
            answer = json.loads(lines.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"]["text"])
    return answer["result"]


def information(options):
    own = ask(options.socket).get("self", {})
    services = [each["name"] for each in own.get("services", []) if each["health"] != "down"]
    return {
        "Platform": own.get("platform", ""),
        "ExecutionType": own.get("execution_type", options.execution_type),
        "ServiceList": services or options.service,
    }


def handler(options):
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self):
            path = self.path.partition("?")[0]
            if path not in (INFORMATION, PING):
                return self.send_error(404, "this device is listed only: it has no score and runs no task")
            try:
                body = json.dumps(information(options)).encode() if path == INFORMATION else b""
            except (OSError, RuntimeError, ValueError) as error:
                return self.send_error(503, f"the daemon does not answer: {type(error).__name__}")
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        # Without looking up this host's name, which can take long.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--socket", default="/run/mnedc/mnedc-join.sock", help="the daemon's (default: %(default)s)")
    parser.add_argument("--port", type=int, default=56002, help="where to answer (default: %(default)s)")
    parser.add_argument("--execution-type", default="", help="what to answer if the device tells none")
    parser.add_argument("--service", action="append", default=[], help="the same; repeatable")
    options = parser.parse_args()
    try:
        own = ask(options.socket).get("self")
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"orchestration-bridge: no daemon answers at {options.socket}: {error}")
    if own is None:
        sys.exit("orchestration-bridge: this host has no virtual address yet; start mnedc-join first")
    # On the virtual address alone: nobody outside of the network is answered.
    try:
        server = Server((own["address"], options.port), handler(options))
    except OSError as error:
        sys.exit(
            f"orchestration-bridge: cannot listen at {own['address']}:{options.port}: {error.strerror}; "
            "a device with a node of its own needs no bridge, see edge-orchestration/README.md"
        )
    server.serve_forever()


if __name__ == "__main__":
    main()
