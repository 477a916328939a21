"""A Spadework process of a check: started on a free port, waited for, stopped."""

import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
# What to log where a line for each request would be too much; that it listens is still told.
QUIET = "warn,spadework::serve=info"


class Instance:
    """`spadework serve` on a port that the system chooses."""

    def __init__(self, binary, log, *arguments):
        self.log = pathlib.Path(log)
        self._address, self._known = None, threading.Event()
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", *arguments], stderr=subprocess.PIPE, text=True, errors="replace"
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.log.open("w") as log:
            for line in self.process.stderr:
                log.write(line)
                log.flush()
                found = re.search(r"listening on (?:\x1b\[\d+m)?http://([0-9.]+:\d+)", line)
                if found and not self._address:
                    self._address = found[1]
                    self._known.set()
        self._known.set()

    @property
    def address(self):
        """HOST:PORT, once it listens."""
        self._known.wait(60)
        if not self._address:
            self.give_up("did not start")
        return self._address

    @property
    def url(self):
        return f"http://{self.address}"

    def ready(self):
        """What /readyz says."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def wait_ready(self, seconds=180):
        end = time.monotonic() + seconds
        while not self.ready():
            if time.monotonic() > end or self.process.poll() is not None:
                self.give_up("is not ready")
            time.sleep(0.1)
        return self

    def give_up(self, why):
        """Leaves no process behind."""
        self.kill()
        raise SystemExit(f"spadework {why}:\n{self.log.read_text()}")

    def terminate(self):
        """SIGTERM; answers the seconds that the process took to end, and its exit code."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        return time.monotonic() - begin, code

    def kill(self):
        self.process.kill()
        self.process.wait()
