#!/usr/bin/env python3
"""What a schema cannot know about compose.yaml: that its parts fit each other, the files beside it and the program.

usage: compose_facts.py FILE
"""

import pathlib
import re
import sys

import yaml

from manifest_facts import ROOT, flags


def faults(path):
    compose = yaml.safe_load(path.read_text())
    services, folder = compose["services"], path.parent
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    for name, service in services.items():
        build = service.get("build")
        if build and build["target"] not in targets:
            yield f"{name}: the Dockerfile has no target {build['target']}"
        for variable in service.get("environment", {}):
            if variable.startswith("SPADEWORK_") and variable not in flags():
                yield f"{name}: {variable} is no setting"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = (folder / source).exists() if source.startswith(".") else source in compose["volumes"]
            if not there:
                yield f"{name}: {source} is not there"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: {port} is open to other machines"
        for word in service.get("command", []):
            for host in re.findall(r"^http://([\w.-]+)", word):
                if host not in services:
                    yield f"{name}: there is no service {host}"
    prometheus = yaml.safe_load((folder / "prometheus/prometheus.yml").read_text())
    configs = prometheus["scrape_configs"] + prometheus["alerting"]["alertmanagers"]
    for target in [t for c in configs for s in c["static_configs"] for t in s["targets"]]:
        if target.split(":")[0] not in services:
            yield f"Prometheus asks {target}, which is no service"
    sources = (folder / "grafana/provisioning/datasources/prometheus.yml").read_text()
    for host in re.findall(r"url: http://([\w.-]+)", sources):
        if host not in services:
            yield f"Grafana asks {host}, which is no service"


if __name__ == "__main__":
    found = list(faults(pathlib.Path(sys.argv[1])))
    print("\n".join(found))
    sys.exit(bool(found))
