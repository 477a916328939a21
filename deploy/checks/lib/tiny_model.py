"""The smallest model there is, imported from a checkpoint of the tests: 32x32, three labels, a latent, an encoder."""

import pathlib
import shutil
import subprocess

from instance import ROOT

CHECKPOINTS = ROOT / "tests/reference/checkpoints"


def import_tiny(binary, models):
    """Imports it as MODELS/tiny."""
    models = pathlib.Path(models)
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir(parents=True)
    files = {"--weights": "hook_zip.pth", "--encoder": "encoder_zip.pth", "--options": "opt.txt"}
    arguments = [part for flag, name in files.items() for part in (flag, CHECKPOINTS / name)]
    subprocess.run([binary, "import", *arguments, "--out", models / "tiny"], check=True, capture_output=True)
    return models
