#!/usr/bin/env python3
"""Writes the rules as a PrometheusRule for the monitoring component; `--check` only says whether it is current."""

import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parent / "kubernetes/components/monitoring/prometheus-rule.yaml"


def resource():
    groups = [g for file in sorted(HERE.glob("rules/*.yml")) for g in yaml.safe_load(file.read_text())["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "spadework", "namespace": "spadework"},
        "spec": {"groups": groups},
    }


def main(check):
    text = "# Written by deploy/prometheus/to_kubernetes.py from rules/*.yml; change those.\n"
    text += yaml.safe_dump(resource(), sort_keys=False, width=1000)
    if not check:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        print(f"{TARGET.name} is not what the rules say; run deploy/prometheus/to_kubernetes.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
