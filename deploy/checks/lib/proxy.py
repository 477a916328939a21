"""A small balancer, as a Kubernetes service is one: it asks /readyz, and gives each new connection to an instance that
was ready when last asked. It never retries, so that what it loses is what the instances lost."""

import asyncio
import itertools
import urllib.error
import urllib.request


def is_ready(address):
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


class Proxy:
    """Serves on a free port of 127.0.0.1. `addresses` may be changed while it runs."""

    def __init__(self, addresses, period=1.0):
        self.addresses, self.period = addresses, period
        self.ready, self.turn, self.given = set(), itertools.count(), {}

    async def start(self):
        await self.ask()
        self.watching = asyncio.create_task(self._watch())
        self.server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        host, port = self.server.sockets[0].getsockname()
        return f"http://{host}:{port}"

    async def ask(self):
        """One round of probes."""
        states = await asyncio.gather(*(asyncio.to_thread(is_ready, address) for address in self.addresses))
        self.ready = {address for address, ready in zip(self.addresses, states) if ready}

    async def _watch(self):
        while True:
            await asyncio.sleep(self.period)
            await self.ask()

    async def _connect(self, reader, writer):
        choices = sorted(self.ready)
        if not choices:
            writer.close()
            return
        address = choices[next(self.turn) % len(choices)]
        self.given[address] = self.given.get(address, 0) + 1
        host, port = address.split(":")
        try:
            upstream = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._copy(reader, upstream[1]), self._copy(upstream[0], writer))
        upstream[1].close()
        writer.close()

    @staticmethod
    async def _copy(source, sink):
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()
        except OSError:
            sink.close()
