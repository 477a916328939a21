"""A training run of a check, and the node exporter that tells Prometheus of it."""

import shutil
import subprocess

# As few channels as there can be, since only its metrics matter; longer than any check.
TINY = (
    "--landscapes 8 --samples 1000000 --batch 1 --ngf 2 --ndf 2 --hidden 4 --threads 1 --loader-threads 1 "
    "--log-every 1 --checkpoint-every 5s --preview-every 1h"
).split()


class TrainingRun:
    """`spadework-train fit` beside `prometheus-node-exporter`, which reads the file that it writes."""

    def __init__(self, trainer, folder, listen):
        self.log, self.textfiles, self.address = folder / "training.log", folder / "textfiles", listen
        for old in (self.textfiles, folder / "run"):
            shutil.rmtree(old, ignore_errors=True)
        self.textfiles.mkdir()
        self.textfile = self.textfiles / "run.prom"
        fit = ["nice", "-n", "10", trainer, "fit", *TINY, "--out", folder / "run", "--metrics-textfile", self.textfile]
        self.trainer = subprocess.Popen(fit, stdout=self.log.open("w"), stderr=subprocess.STDOUT)
        exporter = ["prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile"]
        exporter += [f"--collector.textfile.directory={self.textfiles}", f"--web.listen-address={listen}"]
        self.exporter = subprocess.Popen(exporter, stderr=(folder / "node-exporter.log").open("w"))

    def told(self):
        """What its file says, if it has told anything. The run must not have ended."""
        if self.trainer.poll() is not None:
            raise SystemExit(f"FAIL  the training run ended:\n{self.log.read_text()}")
        return self.textfile.read_bytes() if self.textfile.exists() else b""

    def stop(self):
        for process in (self.trainer, self.exporter):
            process.kill()
            process.wait()
