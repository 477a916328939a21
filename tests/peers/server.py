"""A server under measurement, on a port that the system chooses."""

import re
import subprocess
import threading
from pathlib import Path


class Server:
    """`spadework serve` with `options`: ready when its block begins, stopped at its end."""

    def __init__(self, spadework: Path, *options):
        command = [spadework, "serve", "--listen", "127.0.0.1:0", "--lame-duck", "0s", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> "Server":
        for line in self.process.stderr:
            if found := re.search(r"listening on http://(\S+)", line):
                self.address = found[1]
            if " ready " in line:
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait()
