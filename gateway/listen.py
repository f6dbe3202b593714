"""Where a gateway listens: "host:port" taken apart, and a port held for several processes. Knows nothing of grpc."""

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gateway.domain.errors import InvalidValue

PORT_MAX = 65_535  # gRPC would take the rest of the division


def host_and_port(listen: str) -> tuple[str, int]:
    """The two parts of "host:port". Raises InvalidValue."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise InvalidValue(f"gateway.listen {listen!r}: must be host:port, such as 127.0.0.1:7443")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether nobody else can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@contextmanager
def shared_port(listen: str) -> Iterator[str]:
    """Chooses the port once (0: any) and keeps it for processes that listen there with SO_REUSEPORT; answers "host:port".

    Takes no connections itself. Raises InvalidValue where somebody listens already.
    """
    host, port = host_and_port(listen)
    with ExitStack() as held:
        try:
            for family, kind, protocol, _, address in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
                wanted = (address[0], port, *address[2:])
                # Whoever listens with SO_REUSEPORT would let us in, and share its calls at random: ask without it first.
                with socket.socket(family, kind, protocol) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(wanted)
                holder = held.enter_context(socket.socket(family, kind, protocol))
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                holder.bind(wanted)
                port = holder.getsockname()[1]
        except OSError as error:
            reason = "is another gateway running?" if error.errno == errno.EADDRINUSE else error.strerror
            raise InvalidValue(f"{listen}: cannot listen there; {reason}") from None
        yield f"{host}:{port}"
