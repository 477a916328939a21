"""A TCP proxy that breaks off, holds back or refuses what its server answers, and notes the ranges that are asked for."""

import re
import socket
import threading


class BreakingProxy:
    """Serves on a free port of 127.0.0.1. The attributes may be changed while it runs."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.cut = None  # closes each connection after so many bytes of answer
        self.hold = None  # passes so many bytes of each connection's answer and no more
        self.gone = False  # closes every connection at once
        self.ranges = []  # where each range request began
        self.held = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            if self.gone:
                client.close()
                continue
            server = socket.create_connection(self.upstream)
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _ask(self, client, server):
        try:
            while data := client.recv(65536):
                self.ranges += [int(start) for start in re.findall(rb"(?i)range: bytes=(\d+)-", data)]
                server.sendall(data)
        except OSError:
            pass
        server.close()

    def _answer(self, server, client):
        passed = 0
        try:
            while data := server.recv(4096):
                limit = self.hold if self.hold is not None else self.cut
                if limit is not None and passed + len(data) > limit:
                    client.sendall(data[: limit - passed])
                    passed = limit
                    if self.hold is not None:
                        self.held.set()
                        client.recv(1)  # until the client has left
                    break
                client.sendall(data)
                passed += len(data)
        except OSError:
            pass
        # shutdown, not close alone: the other thread may be waiting on these sockets
        for end in (server, client):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
