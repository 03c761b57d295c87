"""Our Noise against another implementation (noiseprotocol on PyPI); Tests/NoisePeer is our side."""

import secrets
import shutil
import subprocess

import pytest

import lab

connection = pytest.importorskip("noise.connection", reason="needs noiseprotocol; Tests/requirements.sh check")
x25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.x25519")
exceptions = pytest.importorskip("cryptography.exceptions")

pytestmark = pytest.mark.no_lab

CIPHERS = {"aes-256-gcm": "AESGCM", "chacha20-poly1305": "ChaChaPoly"}
PROLOGUE = b"MNEDC"

each_way = [
    pytest.mark.parametrize("pattern", ["xx", "ik"]),
    pytest.mark.parametrize("cipher", CIPHERS),
    pytest.mark.parametrize("role", ["initiator", "responder"]),
]


def in_each_way(test):
    """Runs a test with either pattern, cipher and role of ours."""
    for mark in each_way:
        test = mark(test)
    return test


class Refused(Exception):
    """Our end answered with an error."""


class Ours:
    """noise-peer, a command at a time."""

    def __init__(self, pattern, cipher, role, key, remote_key=None, prologue=PROLOGUE):
        directory = lab.programs(["noise-peer"])
        if directory is None:
            pytest.skip("noise-peer is not built; 'swift build', or BUILD=DIRECTORY")
        command = [directory / "noise-peer", pattern, cipher, role, prologue.hex(), key.hex()]
        command += [remote_key.hex()] if remote_key else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(10) == 0

    def __call__(self, command, *arguments):
        line = " ".join([command, *(bytes(argument).hex() or "-" for argument in arguments)])
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise Refused(answer)
        return b"" if answer == "-" else bytes.fromhex(answer)


def public(private):
    return x25519.X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def theirs(pattern, cipher, role, key, remote_key=None, prologue=PROLOGUE):
    """The other implementation's end, begun."""
    end = connection.NoiseConnection.from_name(f"Noise_{pattern.upper()}_25519_{CIPHERS[cipher]}_SHA256".encode())
    end.set_prologue(prologue)
    end.set_keypair_from_private_bytes(connection.Keypair.STATIC, key)
    if remote_key:
        end.set_keypair_from_public_bytes(connection.Keypair.REMOTE_STATIC, remote_key)
    end.set_as_initiator() if role == "initiator" else end.set_as_responder()
    end.start_handshake()
    return end


def begin(pattern, cipher, role, prologue=PROLOGUE):
    """Both ends, and both public keys: ours first. `prologue` is ours."""
    keys = secrets.token_bytes(32), secrets.token_bytes(32)
    our_public, their_public = map(public, keys)
    ours_initiates = role == "initiator"
    knows = pattern == "ik"
    ours = Ours(pattern, cipher, role, keys[0], their_public if knows and ours_initiates else None, prologue)
    other = theirs(
        pattern, cipher, "responder" if ours_initiates else "initiator", keys[1],
        our_public if knows and not ours_initiates else None)
    return ours, other, our_public, their_public


def shake(ours, other, role):
    """Plays the handshake with payloads of several sizes."""
    our_turn = role == "initiator"
    for size in (0, 1, 1000):
        if other.handshake_finished:
            break
        payload = secrets.token_bytes(size)
        if our_turn:
            assert other.read_message(ours("write", payload)) == payload
        else:
            assert ours("read", other.write_message(payload)) == payload
        our_turn = not our_turn
    assert other.handshake_finished


@in_each_way
def test_two_implementations_come_to_one_session(pattern, cipher, role):
    ours, other, our_public, their_public = begin(pattern, cipher, role)
    with ours:
        # It forgets its handshake, and with it whom it spoke to, as soon as that is finished.
        handshake = other.noise_protocol.handshake_state
        shake(ours, other, role)
        assert ours("hash") == other.get_handshake_hash()
        assert ours("remote") == their_public
        assert handshake.rs.public_bytes == our_public
        for size in (0, 1, 15, 16, 17, 1400, 65000):
            text = secrets.token_bytes(size)
            assert other.decrypt(ours("seal", b"", text)) == text
            assert ours("open", b"", other.encrypt(text)) == text


@in_each_way
def test_what_is_changed_between_two_implementations_is_refused(pattern, cipher, role):
    ours, other, *_ = begin(pattern, cipher, role)
    with ours:
        shake(ours, other, role)
        sealed = bytearray(other.encrypt(b"a packet"))
        sealed[3] ^= 1
        with pytest.raises(Refused, match="authentication"):
            ours("open", b"", sealed)


@in_each_way
def test_another_prologue_is_refused(pattern, cipher, role):
    ours, other, *_ = begin(pattern, cipher, role, prologue=b"other")
    with ours, pytest.raises((Refused, exceptions.InvalidTag)):
        shake(ours, other, role)


@pytest.mark.parametrize("change", ["", "s/, size_t tag_len/, int tag_len/"], ids=["as they are", "another signature"])
def test_boringssl_is_declared_as_swift_crypto_declares_it(tmp_path, change):
    """Sources/CBoringSSL repeats declarations; the compiler compares them with those of the version in use."""
    headers = lab.REPOSITORY / ".build" / "checkouts" / "swift-crypto" / "Sources" / "CCryptoBoringSSL" / "include"
    compiler = shutil.which("clang") or shutil.which("cc")
    if not (headers.exists() and compiler):
        pytest.skip("needs a C compiler and swift-crypto in .build/checkouts; 'make build'")
    ours = lab.REPOSITORY / "Sources" / "CBoringSSL"
    sed = subprocess.run(["sed", change, ours / "CBoringSSL.c"], capture_output=True, text=True, check=True)
    both = "".join(f"#include <CCryptoBoringSSL_{name}.h>\n" for name in ("aead", "err", "mem")) + sed.stdout
    (tmp_path / "both.c").write_text(both)
    done = subprocess.run(
        [compiler, "-fsyntax-only", "-I", headers, "-I", ours / "include", tmp_path / "both.c"],
        capture_output=True, text=True, timeout=60,
    )
    assert (done.returncode == 0) == (not change), done.stderr
    assert not change or "conflicting types" in done.stderr
