#!/usr/bin/env python3
"""Every series that rules, dashboards and autoscaling read must be one that Spadework or its trainer writes.

usage: metric_names.py FILE...          YAML or JSON files with `expr` or `query` fields

The names, labels and label values are read from crates/metrics/src, the losses' names from crates/training/src; a name
that nothing writes, a label that the metric does not have, or a value that no enumeration knows is an error.
"""

import json
import pathlib
import re
import sys

import yaml

from promql import reads

ROOT = pathlib.Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy/prometheus/rules"
# Written by Prometheus for each target, or by the process collector.
OTHERS = {"up", "ALERTS", "scrape_duration_seconds"} | {
    f"process_{name}"
    for name in (
        "cpu_seconds_total open_fds max_fds virtual_memory_bytes resident_memory_bytes start_time_seconds threads"
    ).split()
}
TARGET_LABELS = {"job", "instance", "namespace", "pod", "container", "service", "le"}
# Which enumeration of labels.rs a label's values come from.
ENUMERATIONS = {
    ("spadework_stage_duration_seconds", "stage"): "Stage",
    ("spadework_request_duration_seconds", "outcome"): "Outcome",
    ("spadework_requests_rejected_total", "reason"): "RejectReason",
    ("spadework_images_cancelled_total", "stage"): "CancelStage",
    ("spadework_requests_disconnected_total", "stage"): "Stage",
    ("spadework_last_exit_info", "reason"): "LastExit",
    ("spadework_batch_failures_total", "reason"): "BatchFailure",
    ("spadework_model_store_checks_total", "result"): "StoreCheck",
    ("spadework_modulation_table_requests_total", "result"): "TableResult",
    ("spadework_training_alarms_total", "alarm"): "TrainingAlarm",
    ("spadework_training_learning_rate", "network"): "Network",
    ("spadework_training_gradient_norm", "network"): "Network",
    ("spadework_training_loss", "loss"): "Loss",
}


def written() -> dict[str, set[str]]:
    """Every series that the service writes, with its own labels."""
    source = (ROOT / "crates/metrics/src/metrics.rs").read_text()
    call = re.compile(r'register\s*\.\s*(counters|seconds|int_gauges|gauges|histogram)\(\s*"(\w+)",\s*"[^"]*",\s*&\[([^\]]*)\]')
    series = {name: set() for name in re.findall(r'IntGauge::new\(\s*"(\w+)"', source)}
    for kind, name, labels in call.findall(source):
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        for suffix in suffixes:
            series[f"spadework_{name}{suffix}"] = set(re.findall(r'"(\w+)"', labels))
    if len(series) < 15:
        sys.exit(f"crates/metrics/src/metrics.rs is read wrongly: only {sorted(series)}")
    return series


def trained() -> dict[str, set[str]]:
    """Every series that the trainer writes, with its own labels."""
    source = (ROOT / "crates/metrics/src/training.rs").read_text()
    run = set(re.findall(r'const_label\("(\w+)"', source))
    metric = re.compile(r'opts\(\s*"(\w+)",\s*"[^"]*",?\s*\)(?:,\s*&\[([^\]]*)\])?')
    series = {f"spadework_training_{name}": run | set(re.findall(r'"(\w+)"', labels)) for name, labels in metric.findall(source)}
    if len(series) < 9 or not run:
        sys.exit(f"crates/metrics/src/training.rs is read wrongly: only {series}")
    return series


def values() -> dict[str, set[str]]:
    """The values of each enumeration of labels, and the losses' names."""
    source = (ROOT / "crates/metrics/src/labels.rs").read_text()
    blocks = re.split(r"^label! \{$", source, flags=re.MULTILINE)[1:]
    found = {re.search(r"^    (\w+) \{$", block, re.MULTILINE)[1]: block for block in blocks}
    losses = set(re.findall(r'\bsum\.add\("(\w+)"', (ROOT / "crates/training/src/step.rs").read_text()))
    return {name: set(re.findall(r'= "(\w+)"', block)) for name, block in found.items()} | {"Loss": losses}


def recorded() -> set[str]:
    """The names that the recording rules write."""
    groups = [g for file in RULES.glob("*.yml") for g in yaml.safe_load(file.read_text())["groups"]]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def expressions(tree):
    """Every `expr`, `query` and `seriesQuery` below `tree`; of a menu's `label_values(series, label)`, the series."""
    if isinstance(tree, dict):
        if tree.get("type") == "datasource":
            return
        found = (tree.get(key) for key in ("expr", "query", "seriesQuery"))
        yield from (re.sub(r"^label_values\((.*), \w+\)$", r"\1", text) for text in found if isinstance(text, str))
        for value in tree.values():
            yield from expressions(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from expressions(value)


def mistakes(expression, series, enumerations, rules):
    """What is wrong with one expression, a sentence each."""
    for name, matchers in reads(expression).series:
        if name in rules or name in OTHERS:
            continue
        if name not in series:
            yield f"nothing writes `{name}`"
            continue
        for label, operator, value in matchers:
            if label not in series[name] | TARGET_LABELS:
                yield f"`{name}` has no label `{label}`"
            metric = re.sub(r"_(bucket|sum|count)$", "", name)
            if (metric, label) not in ENUMERATIONS or "$" in value:
                continue
            allowed = enumerations[ENUMERATIONS[metric, label]]
            parts = value.split("|") if "~" in operator else [re.escape(value)]
            wrong = {part for part in parts if not any(re.fullmatch(part, known) for known in allowed)}
            if wrong:
                yield f"`{name}` has no {label} {', '.join(sorted(wrong))}"


def main(files):
    series, enumerations, rules = written() | trained(), values(), recorded()
    wrong, count = 0, 0
    for file in map(pathlib.Path, files):
        text = file.read_text()
        trees = [json.loads(text)] if file.suffix == ".json" else list(yaml.safe_load_all(text))
        for expression in expressions(trees):
            count += 1
            for mistake in mistakes(expression, series, enumerations, rules):
                wrong += 1
                print(f"{file}: {mistake} in: {' '.join(expression.split())}")
    print(f"{count} expressions over {len(series)} series: {wrong} mistakes")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
