"""The measure of all ratios: a bare grpc.aio server, as anybody writes it, that answers every call with the same message.

    python -m bench.echo BYTES [FOLDER]

The messages are those of IssuePoints; the loop and the options are what grpc.aio comes with: nothing is checked, kept or
tuned. With the folder of certificates, TLS. `--tuned` gives it the gateway's loop and options, and takes the messages away:
bytes in, bytes out; the ratio to that one says what is left of gRPC itself. Prints its address when it listens.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc import aio

from gateway.edge.server import OPTIONS
from tallystick.v1 import points_pb2, types_pb2

SERVICE, METHOD = "tallystick.v1.PointsService", "IssuePoints"  # named as the gateway's: the same bytes on the wire


def _handler(answer_bytes: int, *, is_tuned: bool) -> Any:
    answer = points_pb2.IssuePointsResponse(answer=types_pb2.Answer(receipt=types_pb2.SignedReceipt(receipt=bytes(answer_bytes))))
    while answer.ByteSize() > answer_bytes:
        answer.answer.receipt.receipt = answer.answer.receipt.receipt[:-1]
    ready_made = answer.SerializeToString()

    async def echo(_request: object, _context: object) -> points_pb2.IssuePointsResponse:
        return answer

    async def echo_bytes(_request: bytes, _context: object) -> bytes:
        return ready_made

    if is_tuned:
        return grpc.unary_unary_rpc_method_handler(echo_bytes)
    return grpc.unary_unary_rpc_method_handler(
        echo,
        request_deserializer=points_pb2.IssuePointsRequest.FromString,
        response_serializer=points_pb2.IssuePointsResponse.SerializeToString,
    )


async def _serve(answer_bytes: int, tls: Path | None, *, is_tuned: bool) -> None:
    server = aio.server(options=OPTIONS if is_tuned else None)
    handlers = {METHOD: _handler(answer_bytes, is_tuned=is_tuned)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = ((tls / "server.key").read_bytes(), (tls / "server.pem").read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    _words = [word for word in sys.argv[1:] if word != "--tuned"]
    _is_tuned = len(_words) < len(sys.argv) - 1
    _run = uvloop.run if _is_tuned else asyncio.run
    _run(_serve(int(_words[0]), Path(_words[1]) if len(_words) > 1 else None, is_tuned=_is_tuned))
