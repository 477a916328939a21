#!/usr/bin/env python3
"""Writes the dashboards in dashboards/; `--check` only says whether they are current.

Grafana's JSON repeats itself; here a panel is a line. Change this file, not the JSON.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Every query keeps to the chosen job and instances.
ON = 'job="$job", instance=~"$instance"'
JOB = 'job="$job"'


def panel(title, unit, *queries, kind="timeseries", width=8, height=7, about="", stacked=False, least=0, top=None):
    """One panel. A query is (expression, legend)."""
    custom = {"fillOpacity": 30 if stacked else 8, "stacking": {"mode": "normal" if stacked else "none"}}
    bounds = {} if least is None else {"min": least}
    defaults = {"unit": unit, **bounds, "custom": custom if kind == "timeseries" else {}}
    if top is not None:
        defaults["max"] = top
    targets = [
        {"refId": chr(65 + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "format": _format(kind)}
        for i, (expr, legend) in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(kind),
        "targets": targets,
    }


def _format(kind):
    return {"heatmap": "heatmap", "table": "table"}.get(kind, "time_series")


def _options(kind):
    if kind == "heatmap":
        return {"calculate": False, "yAxis": {"unit": "short"}}
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}


def variable(name, query, several=True):
    """A menu above the dashboard, filled from the metrics themselves."""
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": several,
        "multi": several,
        "allValue": ".*" if several else None,
        "current": {},
    }


def dashboard(name, title, variables, panels, since="1h"):
    """Lays the panels out in rows of 24 columns."""
    x = y = row = 0
    for i, item in enumerate(panels):
        size = item["gridPos"]
        if x + size["w"] > 24:
            x, y, row = 0, y + row, 0
        size.update(x=x, y=y)
        item["id"] = i + 1
        x, row = x + size["w"], max(row, size["h"])
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}}
    return {
        "uid": f"spadework-{name}",
        "title": title,
        "tags": ["spadework"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": f"now-{since}", "to": "now"},
        "templating": {"list": [source, *variables]},
        "links": [{"type": "dashboards", "tags": ["spadework"], "asDropdown": False, "title": "Spadework"}],
        "panels": panels,
    }


SERVICE_MENUS = [
    variable("job", "label_values(spadework_build_info, job)", several=False),
    variable("instance", 'label_values(spadework_build_info{job="$job"}, instance)'),
]


def quantile(q, metric, by, matchers):
    rate = f"rate({metric}_bucket{{{matchers}}}[$__rate_interval])"
    return f"histogram_quantile({q}, sum by ({by}le) ({rate}))"


def service():
    asked, ended = "spadework_http_requests_total", "spadework_request_duration_seconds"
    ok = f'{ON}, outcome="ok"'
    return [
        panel("Ready", "none", (f"sum(spadework_ready{{{ON}}})", "ready"), kind="stat", width=4, height=4),
        panel("Known instances", "none", (f"count(up{{{ON}}})", "known"), kind="stat", width=4, height=4),
        panel("Pictures", "ops", (f"sum(rate(spadework_batch_size_sum{{{ON}}}[$__rate_interval]))", "pictures"), kind="stat", width=4, height=4),
        panel("p99", "s", (quantile(0.99, ended, "", ok), "p99"), kind="stat", width=4, height=4),
        panel("Errors (5 minutes)", "percentunit", (f"job:spadework_errors:ratio_rate5m{{{JOB}}}", "failed or late"), kind="stat", width=4, height=4,
              about="Of the requests that were admitted and valid. The budget is 0.1%."),
        panel("Shed (5 minutes)", "percentunit", (f"job:spadework_shed:ratio_rate5m{{{JOB}}}", "refused"), kind="stat", width=4, height=4,
              about="Requests refused because their answer would be late, or a bound is reached."),
        panel("Requests by outcome", "reqps", (f"sum by (outcome) (rate({ended}_count{{{ON}}}[$__rate_interval]))", "{{outcome}}"), stacked=True),
        panel("Answers by status", "reqps", (f"sum by (route, code) (rate({asked}{{{ON}}}[$__rate_interval]))", "{{route}} {{code}}"), stacked=True),
        panel("Refusals by reason", "reqps", (f"sum by (reason) (rate(spadework_requests_rejected_total{{{ON}}}[$__rate_interval]))", "{{reason}}"), stacked=True),
        panel("Time of a picture", "s", *[(quantile(q, ended, "", ok), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)]),
        panel("p99 by model", "s", (quantile(0.99, ended, "model, ", ok), "{{model}}")),
        panel("Predicted wait", "s", (f"max by (instance, model) (spadework_queue_predicted_wait_seconds{{{ON}}})", "{{instance}} {{model}}"),
              about="How long one more picture would take, its own batch included. Autoscaling follows it."),
        panel("Device busy", "percentunit", (f"sum by (instance, device) (rate(spadework_device_busy_seconds_total{{{ON}}}[$__rate_interval]))", "{{instance}} {{device}}"), top=1,
              about="Counted when a batch ends."),
        panel("Memory", "bytes", (f"process_resident_memory_bytes{{{ON}}}", "{{instance}}")),
        panel("Processor", "cores", (f"rate(process_cpu_seconds_total{{{ON}}}[$__rate_interval])", "{{instance}}")),
        panel("Callers that left", "ops", (f"sum by (stage) (rate(spadework_images_cancelled_total{{{ON}}}[$__rate_interval]))", "{{stage}}"),
              about="In the queue they cost nothing; in generate their picture was made for nobody."),
        panel("Open files", "none", (f"process_open_fds{{{ON}}}", "{{instance}}")),
        panel("Batches that failed", "ops", (f"sum by (reason) (rate(spadework_batch_failures_total{{{ON}}}[$__rate_interval]))", "{{reason}}")),
        panel("Builds", "none", (f"count by (version, revision) (spadework_build_info{{{ON}}})", ""), kind="table", width=12),
        panel("Models", "none", (f"count by (model, digest, precision, device) (spadework_model_info{{{ON}}})", ""), kind="table", width=12),
    ]


def batching():
    model = f'{ON}, model=~"$model"'
    stage = "spadework_stage_duration_seconds"
    mean = f"rate({stage}_sum{{{model}}}[$__rate_interval])) / sum by (stage) (rate({stage}_count{{{model}}}[$__rate_interval]))"
    busy = f"sum(rate(spadework_device_busy_seconds_total{{{ON}}}[$__rate_interval]))"
    return [
        panel("Batch sizes", "short", (f"sum by (le) (increase(spadework_batch_size_bucket{{{model}}}[$__rate_interval]))", "{{le}}"), kind="heatmap",
              about="Batches of 1 are right while the device keeps up: nothing waits for a batch to fill."),
        panel("Mean batch", "none", (f"sum by (model) (rate(spadework_batch_size_sum{{{model}}}[$__rate_interval])) / sum by (model) (rate(spadework_batch_size_count{{{model}}}[$__rate_interval]))", "{{model}}")),
        panel("Device time of a picture", "s", (f"{busy} / sum(rate(spadework_batch_size_sum{{{ON}}}[$__rate_interval]))", "seconds of device"),
              about="Falls as batches grow, if batching pays on this device. Cost follows it."),
        panel("Mean time by stage", "s", (f"sum by (stage) ({mean}", "{{stage}}"), stacked=True),
        panel("p99 by stage", "s", (quantile(0.99, stage, "stage, ", model), "{{stage}}")),
        panel("Queue and device, p50 and p95", "s",
              *[(quantile(q, stage, "", f'{model}, stage="{s}"'), f"{s} p{q * 100:.0f}") for s in ("queue", "generate") for q in (0.5, 0.95)],
              about="Queue time well above one batch's time means that work comes faster than it is done."),
        panel("Pictures that wait", "none", (f"sum by (instance, model) (spadework_queue_depth{{{model}}})", "{{instance}} {{model}}")),
        panel("Age of the oldest", "s", (f"max by (instance, model) (spadework_queue_oldest_age_seconds{{{model}}})", "{{instance}} {{model}}")),
        panel("Predicted wait", "s", (f"max by (instance, model) (spadework_queue_predicted_wait_seconds{{{model}}})", "{{instance}} {{model}}")),
        panel("Deadlines missed", "ops", (f"sum by (model) (rate(spadework_deadline_missed_total{{{model}}}[$__rate_interval]))", "{{model}}"),
              about="Admitted, and not ready in time: the prediction was wrong, or the device slowed down."),
        panel("Device busy", "percentunit", (f"avg by (device) (rate(spadework_device_busy_seconds_total{{{ON}}}[$__rate_interval]))", "{{device}}"), top=1),
    ]


def training():
    on = 'job="$job", run=~"$run"'
    run = lambda name: f"spadework_training_{name}{{{on}}}"
    # As the progress line reckons it: what is left, at the mean speed since the process began.
    left = f"{run('samples_total')} * (1 / {run('progress_ratio')} - 1) / ({run('pictures_per_second')} > 0)"
    age = f"time() - ({run('checkpoint_timestamp_seconds')} > 0)"
    return [
        panel("Done", "percentunit", (run("progress_ratio"), "{{run}}"), kind="stat", width=4, height=4, top=1),
        panel("Time left", "s", (left, "{{run}}"), kind="stat", width=4, height=4, about="At the mean speed since the process began."),
        panel("Pictures a second", "none", (run("pictures_per_second"), "{{run}}"), kind="stat", width=4, height=4),
        panel("Steps", "none", (run("steps_total"), "{{run}}"), kind="stat", width=4, height=4),
        panel("Age of the last checkpoint", "s", (age, "{{run}}"), kind="stat", width=4, height=4, about="What would be lost if the process ended now."),
        panel("Alarms", "none", (f"sum by (run) ({run('alarms_total')})", "{{run}}"), kind="stat", width=4, height=4, about="Since the process began."),
        panel("Losses of the generator", "none", (run("loss").replace("}", ', loss!~"D_.*"}'), "{{run}} {{loss}}"), height=9, least=None,
              about="By their published names, weighted as they are summed. GAN may fall below 0; GAN_Feat and VGG tell most of quality."),
        panel("Losses of the discriminator", "none", (run("loss").replace("}", ', loss=~"D_.*"}'), "{{run}} {{loss}}"), height=9, least=None,
              about="Of the hinge loss, 1 each is a draw; near 0 it wins outright and the generator learns next to nothing from it."),
        panel("Speed", "none", (run("pictures_per_second"), "{{run}} since the process began"), (f"rate({run('samples_total')}[15m])", "{{run}} over 15 minutes"), height=9,
              about="Pictures a second. When the second falls below the first, something else takes the processor or the disk."),
        panel("Learning rates", "sci", (run("learning_rate"), "{{run}} {{network}}")),
        panel("Norms of the gradients", "none", (run("gradient_norm"), "{{run}} {{network}}"), about="A rise by itself often comes before a number that is none."),
        panel("Alarms by kind", "none", (run("alarms_total"), "{{run}} {{alarm}}"),
              about="not_finite has ended the run. discriminator_wins and diversity_collapsed go on, and look wrong."),
        panel("Progress", "percentunit", (run("progress_ratio"), "{{run}}"), width=12, top=1),
        panel("Age of the last checkpoint", "s", (age, "{{run}}"), width=12, about="A saw: its height is what --checkpoint-every says."),
    ]


MODEL_MENU = variable("model", 'label_values(spadework_model_info{job="$job"}, model)')
TRAINING_MENUS = [
    variable("job", "label_values(spadework_training_steps_total, job)", several=False),
    variable("run", 'label_values(spadework_training_steps_total{job="$job"}, run)'),
]
DASHBOARDS = {
    "service": lambda: dashboard("service", "Spadework: service", SERVICE_MENUS, service()),
    "batching": lambda: dashboard("batching", "Spadework: batching", [*SERVICE_MENUS, MODEL_MENU], batching()),
    "training": lambda: dashboard("training", "Spadework: training", TRAINING_MENUS, training(), since="24h"),
}


def main(check):
    stale = []
    for name, build in DASHBOARDS.items():
        file, text = HERE / f"dashboards/{name}.json", json.dumps(build(), indent=1) + "\n"
        if check and (not file.exists() or file.read_text() != text):
            stale.append(file.name)
        elif not check:
            file.write_text(text)
    if stale:
        print(f"not what build.py writes, run it: {', '.join(stale)}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
