#!/usr/bin/env python3
"""A camera without a lens: a bar that wanders, at this device's virtual address, by HTTP. Needs Python 3 alone.

/             a page that shows the stream
/stream       pictures without an end (multipart/x-mixed-replace, MJPEG), as network cameras send them
/picture.jpg  one picture
"""

import http.server
import json
import struct
import subprocess
import time

PORT = 8081
WIDTH, HEIGHT, PICTURES_A_SECOND = 320, 240, 10

# Codes of the lengths of DC differences, as in Annex K of ITU-T T.81: how many there are of each number of bits, and the lengths.
COUNTS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
LENGTHS = bytes(range(12))
CODES = ["00", "010", "011", "100", "101", "110", "1110", "11110", "111110", "1111110", "11111110", "111111110"]


def segment(marker, content):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg(brightness):
    """A grey JPEG of blocks of 8 by 8 pixels, each of one brightness (0 to 255) by column and row."""
    bits, before = [], 0
    for row in range(HEIGHT // 8):
        for column in range(WIDTH // 8):
            # With a quantiser of 8, a block's DC coefficient is its brightness from the middle.
            level = brightness(column, row) - 128
            difference, before = level - before, level
            length = abs(difference).bit_length()
            bits.append(CODES[length])
            if length:
                bits.append(format(difference if difference > 0 else difference + (1 << length) - 1, f"0{length}b"))
            bits.append("0")  # the end of the block: it has no other coefficient
    bits = "".join(bits)
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            segment(0xDB, b"\x00" + bytes([8] * 64)),
            segment(0xC0, struct.pack(">BHHB", 8, HEIGHT, WIDTH, 1) + bytes([1, 0x11, 0])),
            segment(0xC4, b"\x00" + COUNTS + LENGTHS),
            segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\x00"),
            segment(0xDA, bytes([1, 1, 0, 0, 63, 0])),
            data,
            b"\xff\xd9",
        ]
    )


def picture():
    bar = int(time.time() * PICTURES_A_SECOND) % (WIDTH // 8)
    return jpeg(lambda column, row: 240 if column == bar else 40 + 4 * row)


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        try:
            if self.path == "/":
                self.send("text/html", b'<title>Camera</title><img src="/stream" alt="what the camera sees">')
            elif self.path == "/picture.jpg":
                self.send("image/jpeg", picture())
            elif self.path == "/stream":
                self.stream()
            else:
                self.send_error(404)
        except OSError:
            self.close_connection = True  # The viewer has gone.

    def send(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        while True:
            body = picture()
            self.wfile.write(b"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body))
            self.wfile.write(body + b"\r\n")
            time.sleep(1 / PICTURES_A_SECOND)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        # Without looking up this host's name, which can take long.
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address


def main():
    # Only at the virtual address, so that hosts outside the network cannot connect.
    listing = subprocess.run(["mnedc-peers", "--json"], stdout=subprocess.PIPE, check=True).stdout
    Server((json.loads(listing)["self"]["address"], PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
