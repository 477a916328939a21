#!/usr/bin/env python3
"""What schemas cannot know about rendered manifests: that the parts fit each other and the program.

usage: manifest_facts.py FILE...        each the output of `kubectl kustomize`
"""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]


def flags() -> set[str]:
    """Every environment variable that the programs read, as the sources declare them."""
    sources = [file for folder in ("service", "crates") for file in (ROOT / folder).rglob("src/**/*.rs")]
    return {name for file in sources for name in re.findall(r'env = "(SPADEWORK_\w+)"', file.read_text())}


def seconds(text):
    """`45s` or `2m` as a number."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def mebibytes(text):
    """`4Gi` or `512Mi` as a number of MiB."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", text).groups()
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


# What the process may hold at once, in MiB: its budgets, and a COCO-size model while another is loaded beside it.
BUDGETS = {"SPADEWORK_QUEUE_MIB": 1024, "SPADEWORK_CODEC_MIB": 512, "SPADEWORK_TABLE_CACHE_MIB": 128}
MODEL_MIB = 1300


def workloads(resources):
    return [r for r in resources if r["kind"] in ("Deployment", "Job")]


def settings(pod, config):
    """The variables of the first container."""
    container = pod["containers"][0]
    found = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= config[source["configMapRef"]["name"]]
    return found | {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}


def selects(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


def references(resources):
    """Names that point to a resource of the same file."""
    names = {(r["kind"], r["metadata"]["name"]) for r in resources}
    config = {r["metadata"]["name"] for r in resources if r["kind"] == "ConfigMap"}
    for resource in resources:
        target = resource.get("spec", {}).get("scaleTargetRef")
        if target and (target.get("kind", "Deployment"), target["name"]) not in names:
            yield f"{resource['kind']} scales {target['name']}, which is not there"
    for work in workloads(resources):
        pod = work["spec"]["template"]["spec"]
        account = pod.get("serviceAccountName")
        if account and ("ServiceAccount", account) not in names:
            yield f"service account {account} is not there"
        for container in pod["containers"]:
            for source in container.get("envFrom", []):
                if "configMapRef" in source and source["configMapRef"]["name"] not in config:
                    yield f"settings {source['configMapRef']['name']} are not there"


def selectors(resources):
    """Selectors select the pods of the file, and ports have the names that the pods give them."""
    pods = [work["spec"]["template"] for work in workloads(resources)]
    ports = {p["name"] for pod in pods for c in pod["spec"]["containers"] for p in c.get("ports", [])}
    for resource in resources:
        kind, spec = resource["kind"], resource.get("spec", {})
        chosen = {
            "Service": lambda: spec["selector"],
            "PodDisruptionBudget": lambda: spec["selector"].get("matchLabels"),
            "NetworkPolicy": lambda: spec["podSelector"].get("matchLabels"),
        }.get(kind)
        if chosen and not any(selects(chosen(), pod["metadata"]["labels"]) for pod in pods):
            yield f"{kind} {resource['metadata']['name']} selects no pod of ours, or every pod of the namespace"
        for port in spec.get("ports", []) if kind == "Service" else []:
            if isinstance(port.get("targetPort"), str) and port["targetPort"] not in ports:
                yield f"no pod has a port {port['targetPort']}"
        if kind == "ServiceMonitor":
            services = [r for r in resources if r["kind"] == "Service"]
            chosen = [s for s in services if selects(spec["selector"]["matchLabels"], s["metadata"]["labels"])]
            for endpoint in spec["endpoints"]:
                if endpoint["port"] not in {port["name"] for s in chosen for port in s["spec"]["ports"]}:
                    yield f"the ServiceMonitor selects no service with a port {endpoint['port']}"


def programs(resources):
    """Settings that the program has, and a pod that lives as long as its drain."""
    config = {r["metadata"]["name"]: r["data"] for r in resources if r["kind"] == "ConfigMap"}
    for work in workloads(resources):
        pod = work["spec"]["template"]["spec"]
        env = settings(pod, config)
        known = flags() or sys.exit("no flag is declared in the sources")
        for name in sorted(name for name in env if name.startswith("SPADEWORK_") and name not in known):
            yield f"{name} is no setting of the program"
        if "SPADEWORK_GRACE" in env:
            grace, duck = seconds(env["SPADEWORK_GRACE"]), seconds(env["SPADEWORK_LAME_DUCK"])
            if not duck < grace < pod["terminationGracePeriodSeconds"]:
                yield "lame duck < grace < terminationGracePeriodSeconds does not hold"
            ready = pod["containers"][0]["readinessProbe"]
            if duck < ready["periodSeconds"] * ready["failureThreshold"]:
                yield "the lame duck is over before the readiness probe has failed"
            limit = mebibytes(pod["containers"][0]["resources"]["limits"]["memory"])
            held = MODEL_MIB + sum(int(env.get(name, default)) for name, default in BUDGETS.items())
            if limit < held:
                yield f"the memory limit, {limit} MiB, is less than the process may hold, {held} MiB"
        cache = env.get("SPADEWORK_CACHE_DIR")
        mounts = {m["mountPath"] for m in pod["containers"][0].get("volumeMounts", []) if not m.get("readOnly")}
        if "://" in env.get("SPADEWORK_MODELS", "") and cache not in mounts:
            yield f"models come from a store and no writable volume is mounted at their cache {cache}"
        container = pod["containers"][0]["securityContext"]
        if not (pod["securityContext"]["runAsNonRoot"] and container["readOnlyRootFilesystem"]):
            yield "the pod is not locked down"


def main(files):
    wrong = 0
    for file in files:
        resources = [r for r in yaml.safe_load_all(pathlib.Path(file).read_text()) if r]
        for check in (references, selectors, programs):
            for mistake in check(resources):
                wrong += 1
                print(f"{file}: {mistake}")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
