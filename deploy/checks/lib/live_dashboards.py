#!/usr/bin/env python3
"""A real Prometheus scrapes a real service under traffic, and a training run through the node exporter: every dashboard
and rule expression has to return data. Then the service is killed, and the alert has to reach Alertmanager.

usage: live_dashboards.py SPADEWORK TRAINER FOLDER        the binaries, and where logs and data may lie
"""

import asyncio
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import load
from instance import Instance
from metric_names import ROOT, expressions
from training_run import TrainingRun

# Grafana's variables, as they are when everything is chosen.
VARIABLES = {"$__rate_interval": "30s", "$__interval": "5s", "$__range": "5m", "$job": "spadework", "$instance": ".*", "$model": ".*", "$run": ".*"}
# Of the training dashboard, whose metrics come from the node exporter.
TRAINING = {**VARIABLES, "$job": "node"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url, **query):
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return json.load(answer)


def wait_for(what, condition, seconds):
    """Asks until the condition holds; answers how long it took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise SystemExit(f"FAIL  {what}: not within {seconds} s")
        time.sleep(0.5)
    return time.monotonic() - begin


def answers(url):
    def asked():
        try:
            return urllib.request.urlopen(url, timeout=2).status == 200
        except OSError:
            return False

    return asked


class Monitoring:
    """Prometheus with our rules, and Alertmanager with our routing."""

    def __init__(self, folder, targets):
        self.prometheus, self.alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(2))
        config = folder / "prometheus.yml"
        scrapes = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()]
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{ROOT}/deploy/prometheus/rules/*.yml']\n"
            f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{self.alertmanager}']}}]}}]}}\n"
            f"scrape_configs: {json.dumps(scrapes)}\n"
        )
        for data in ("prometheus", "alertmanager"):
            shutil.rmtree(folder / data, ignore_errors=True)
        start = lambda name, *flags: subprocess.Popen([name, *flags], stderr=(folder / f"{name}.log").open("w"))
        self.processes = [
            start("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/prometheus", f"--web.listen-address={self.prometheus}"),
            start("prometheus-alertmanager", f"--config.file={ROOT}/deploy/prometheus/alertmanager.yml", f"--storage.path={folder}/alertmanager",
                  f"--web.listen-address={self.alertmanager}", "--cluster.listen-address="),
        ]
        wait_for("Prometheus starts", answers(f"http://{self.prometheus}/-/ready"), 60)
        wait_for("Alertmanager starts", answers(f"http://{self.alertmanager}/-/ready"), 60)

    def query(self, expression):
        try:
            return get(f"http://{self.prometheus}/api/v1/query", query=expression)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"FAIL  {expression}: {json.load(error)['error']}") from error

    def alerts(self):
        return {a["labels"]["alertname"]: a for a in get(f"http://{self.alertmanager}/api/v2/alerts")}

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait(30)


async def traffic(url):
    """Pictures, a bad mask, an unknown model and a deadline that nobody can meet."""
    files = load.masks(url)
    loop = asyncio.get_running_loop()
    odd = [load.send(url, b"no picture", loop.time(), None, 60), load.send(url, files[0], loop.time(), 1, 60)]
    work = load.closed_loop(url, files, clients=4, seconds=40)
    return [*await asyncio.gather(*odd), *await work]


def dashboard_expressions():
    for file in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for expression in expressions(json.loads(file.read_text())["panels"]):
            variables = TRAINING if file.stem == "training" else VARIABLES
            concrete = re.sub(r"\$\w+", lambda found: variables[found[0]], expression)
            yield file.stem, concrete


def check_format(name, text):
    """promtool reads it as Prometheus would, and knows the conventions of names."""
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    if found.returncode:
        raise SystemExit(f"FAIL  {name} is well-formed: {found.stderr.decode()}")
    print(f"ok    {name} is well-formed")


def check_expressions(monitoring):
    empty = [(name, e) for name, e in dashboard_expressions() if not monitoring.query(e)]
    for name, expression in empty:
        print(f"no data  {name}: {expression}")
    count = len(list(dashboard_expressions()))
    if empty or not count:
        raise SystemExit("FAIL  every dashboard expression returns data")
    print(f"ok    all {count} dashboard expressions return data")


def check_rules(monitoring):
    """No rule may have failed, and every recording rule has written something."""
    groups = get(f"http://{monitoring.prometheus}/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    sick = [rule["name"] for rule in rules if rule["health"] != "ok"]
    missing = [rule["name"] for rule in rules if rule["type"] == "recording" and not monitoring.query(rule["name"])]
    if sick or missing:
        raise SystemExit(f"FAIL  rules that failed: {sick}; that wrote nothing: {missing}")
    print(f"ok    all {len(rules)} rules are evaluated, all recording rules have data")


def check_alert(monitoring, service):
    before = monitoring.alerts()
    if "SpadeworkDown" in before:
        raise SystemExit("FAIL  SpadeworkDown is raised while the service runs")
    service.kill()
    took = wait_for("SpadeworkDown reaches Alertmanager", lambda: "SpadeworkDown" in monitoring.alerts(), 150)
    alert = monitoring.alerts()["SpadeworkDown"]
    receivers = [receiver["name"] for receiver in alert["receivers"]]
    if receivers != ["pager"]:
        raise SystemExit(f"FAIL  SpadeworkDown goes to {receivers}")
    print(f"ok    {took:.0f} s after the service was killed SpadeworkDown went to the pager")


def main(binary, trainer, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    service = Instance(binary, folder / "spadework.log").wait_ready()
    run = TrainingRun(trainer, folder, f"127.0.0.1:{free_port()}")
    monitoring = Monitoring(folder, {"spadework": service.address, "node": run.address})
    try:
        wait_for("the first scrape", lambda: monitoring.query('up{job="spadework"} == 1'), 30)
        wait_for("the training run's first line", run.told, 120)
        told = load.summary(asyncio.run(traffic(service.url)))
        print(f"      traffic: {told['statuses']}")
        check_format("/metrics", urllib.request.urlopen(f"{service.url}/metrics", timeout=5).read())
        check_format("the training run's file", run.told())
        check_expressions(monitoring)
        check_rules(monitoring)
        check_alert(monitoring, service)
    finally:
        service.kill()
        run.stop()
        monitoring.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
