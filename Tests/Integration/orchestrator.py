"""A stand-in for an Edge Orchestration node: its REST interface, and its reaction to a registered peer.

    orchestrator.py PORT FILE

It listens at PORT of all addresses. It asks a registered peer for its orchestration information (with a JSON body, as a
node does) at the virtual address and the same port, then for ping and score, and writes the results to FILE, a line of
JSON each.
"""

import http.client
import http.server
import json
import socket
import sys
import threading

PORT, FILE = int(sys.argv[1]), sys.argv[2]
OWN = {"Platform": "docker", "ExecutionType": "container", "ServiceList": ["detector"]}
lock = threading.Lock()


def write(**line):
    with lock, open(FILE, "a") as file:
        file.write(json.dumps(line) + "\n")


def ask(address, path, body=None):
    """The status and the JSON that a peer's node answers."""
    node = http.client.HTTPConnection(address, PORT, timeout=5)
    node.request("GET", path, json.dumps(body) if body else None)
    answer = node.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else None


def meet(peer):
    address = peer["VirtualAddr"]
    write(
        id=peer["DeviceID"], address=address, private=peer["PrivateAddr"],
        info=ask(address, "/api/v1/discoverymgr/orchestrationinfo", {"devID": "DevID"}),
        ping=ask(address, "/api/v1/ping"),
        score=ask(address, "/api/v1/scoringmgr/score", {"devID": peer["DeviceID"]}),
    )  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    def content(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def answer(self, content=None):
        body = json.dumps(content).encode() if content else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        if self.path != "/api/v1/discoverymgr/register":
            return self.send_error(404)
        peer = self.content()
        if sorted(peer) != ["DeviceID", "PrivateAddr", "VirtualAddr"] or self.client_address[0] != "127.0.0.1":
            return self.send_error(400)
        threading.Thread(target=meet, args=(peer,)).start()
        self.answer()

    def do_GET(self):
        if self.path == "/api/v1/ping":
            self.answer()
        elif self.path == "/api/v1/discoverymgr/orchestrationinfo" and self.content() == {"devID": "DevID"}:
            self.answer(OWN)
        elif self.path == "/api/v1/scoringmgr/score" and "devID" in self.content():
            self.answer({"ScoreValue": 0.5})
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        # Without looking up this host's name, which can take long.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "node", PORT


Server(("0.0.0.0", PORT), Handler).serve_forever()
