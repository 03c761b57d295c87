"""Who takes part in the benchmark: the limits, the suite, and the programs that a user would pick instead of it."""

from .contestant import Contestant
from .limits import Plain, Socat
from .n2n import N2N
from .nebula import Nebula
from .openvpn import OpenVPN, OpenVPN9000
from .softether import SoftEther
from .suite import NullCipher, Suite
from .tinc import Tinc
from .wireguard import WireGuard

#: In the order in which each round takes them: what is divided by each other is measured one after the other.
CONTESTANTS = (Plain, Socat, Suite, NullCipher, OpenVPN, OpenVPN9000, SoftEther, Nebula, Tinc, WireGuard, N2N)

__all__ = ["CONTESTANTS", "Contestant"]
