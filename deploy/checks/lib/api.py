#!/usr/bin/env python3
"""Schemathesis against a running service. Every answer that the description does not allow is a failure.

usage: api.py SPADEWORK FOLDER SECONDS
"""

import os
import pathlib
import re
import subprocess
import sys
import urllib.request

from instance import ROOT, Instance
from tiny_model import import_tiny

# Left out: that what breaks the schema is always refused (an option in two places, `null` for "not given" and the like
# are taken on purpose), and that what fits the schema is always taken (a mask of the wrong size fits it, and is refused).
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method"


def answered(url):
    """How often a synthesis was answered with each status, as the service counts."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = re.findall(r'^spadework_http_requests_total{code="(\d+)",method="POST",route="/synthesize"} (\d+)$', answer.read().decode(), re.MULTILINE)
    return {status: int(count) for status, count in sorted(lines)}


def main(binary, folder, seconds):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    models = import_tiny(binary, folder / "models")
    service = Instance(binary, folder / "spadework.log", "--models", str(models)).wait_ready()
    schemathesis = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [schemathesis, "run", ROOT / "openapi/openapi.json", "--url", service.url, "--checks", CHECKS, "--max-time", seconds,
               "--continue-on-failure", "--no-color", "--warnings", "off", "--request-timeout", "30", "--report", "ndjson", "--report-ndjson-path", folder / "report.ndjson"]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": str(ROOT / "deploy/checks/lib")}
    try:
        ended = subprocess.run([str(part) for part in command], cwd=folder, env=environment, check=False)
        code = service.process.poll()
        statuses = answered(service.url) if code is None else {}
    finally:
        service.kill()
    if code is not None:
        raise SystemExit(f"FAIL  the service ended with {code}")
    if ended.returncode:
        raise SystemExit("FAIL  the API answers as it is described")
    if not statuses.get("200"):
        raise SystemExit(f"FAIL  no mask was good enough for a picture: {statuses}")
    print(f"      POST /synthesize was answered {statuses}")
    print("ok    every answer is one that openapi/openapi.json describes, none is 500")


if __name__ == "__main__":
    main(*sys.argv[1:])
