"""A WebSocket echo server, the pod of the suite (PyPI: websockets): echo.py HOST PORT."""
import asyncio
import signal
import sys

import websockets


async def echo(socket):
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass


async def main():
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    async with websockets.serve(echo, sys.argv[1], int(sys.argv[2]), max_size=None, ping_interval=None,
                                close_timeout=2):
        await end.wait()

asyncio.run(main())
