"""The measure of all ratios: a bare grpc.aio server that answers every call with the same bytes, ready made.

    python -m bench.echo BYTES [FOLDER]

Bytes in, bytes out: it parses nothing. Its loop and its options are the gateway's; with the folder of certificates, its TLS too.
Prints its address when it listens.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc import aio

from gateway.edge.server import OPTIONS

METHOD = "/tallystick.v1.PointsService/IssuePoints"  # as long as the gateway's


async def _serve(answer_bytes: int, tls: Path | None) -> None:
    answer = bytes(answer_bytes)

    async def echo(_request: bytes, _context: Any) -> bytes:
        return answer

    _, service, method = METHOD.split("/")
    server = aio.server(options=OPTIONS)
    handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = ((tls / "server.key").read_bytes(), (tls / "server.pem").read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))  # noqa: PLR2004 - the usage above
