"""A program: a ``websockets`` server that sends every message back, however long and in however many pieces."""

from __future__ import annotations

import asyncio
import logging

from websockets.asyncio.server import ServerConnection, serve


async def answer(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    # Half of the cases break the protocol, each worth a traceback.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    # The server's own pings would be events that no case expects.
    async with serve(answer, "127.0.0.1", 0, max_size=2**26, ping_interval=None) as server:
        print(f"listening on {next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
