#!/usr/bin/env python3
"""The shop's programs, as small as they can be; they know names and services, not networks. Needs Python 3 alone.

shop.py orders              takes orders (POST /orders) at this device's virtual address, and lists them (GET /orders)
shop.py stock ITEM=NUMBER…  tells what is in stock: GET /stock/ITEM
shop.py find ITEM           asks all devices that offer the service `stock` for it
"""

import http.server
import json
import subprocess
import sys
import urllib.request

PORT = 8080


def peers(*options):
    """What `mnedc-peers --json` says."""
    return json.loads(subprocess.run(["mnedc-peers", "--json", *options], stdout=subprocess.PIPE, check=True).stdout)


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 10
    orders = []
    stock = None

    def answer(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.stock is None and self.path == "/orders":
            return self.answer(200, self.orders)
        item = self.path.removeprefix("/stock/")
        if self.stock is not None and item in self.stock:
            return self.answer(200, {"item": item, "number": self.stock[item]})
        self.answer(404, {"error": "there is no such thing"})

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if self.stock is not None or self.path != "/orders" or not length.isdecimal() or int(length) > 4096:
            return self.answer(400, {"error": "POST a small JSON object to /orders of the office"})
        try:
            order = json.loads(self.rfile.read(int(length)))
            # A virtual address cannot be forged: this is who has sent the order.
            order = {"from": self.client_address[0], "item": str(order["item"]), "number": int(order["number"])}
        except (ValueError, TypeError, KeyError):
            return self.answer(400, {"error": 'an order looks like {"item": "tea", "number": 3}'})
        self.orders.append(order)
        self.answer(201, order)


class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        # Without looking up this host's name, which can take long.
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address


def serve():
    # At the virtual address alone: who is not in the network cannot even connect.
    Server((peers()["self"]["address"], PORT), Handler).serve_forever()


def find(item):
    for peer in peers("--service", "stock", "--state", "online")["peers"]:
        try:
            with urllib.request.urlopen(f"http://{peer['address']}:{PORT}/stock/{item}", timeout=5) as answer:
                print(f"{peer['device_id']}: {json.load(answer)['number']}")
        except OSError as error:
            print(f"{peer['device_id']}: {error}")


def main():
    match sys.argv[1:]:
        case ["orders"]:
            serve()
        case ["stock", *items] if all("=" in each for each in items):
            Handler.stock = {name: int(number) for name, _, number in (each.partition("=") for each in items)}
            serve()
        case ["find", item]:
            find(item)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
