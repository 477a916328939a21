#!/usr/bin/env python3
"""Models from an S3 server, with every fault that a store and a disk can have.

usage: model_store.py SPADEWORK FOLDER
"""

import json
import logging
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import boto3
from breaking_proxy import BreakingProxy
from instance import Instance
from moto.server import ThreadedMotoServer

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHECKPOINTS = ROOT / "tests/reference/checkpoints"
BUCKET = "weights"


def expect(holds, what, *details):
    if not holds:
        raise SystemExit(f"FAIL  {what}: {details}")
    print(f"ok    {what}", flush=True)


class Place:
    """A bucket behind a proxy, and what is needed to read it."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, pathlib.Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        self.proxy = BreakingProxy(server.get_host_and_port())
        # What every program of this cloud reads; the service and boto3 alike.
        os.environ |= {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.proxy.url,
            "AWS_ALLOW_HTTP": "true",
        }
        self.s3 = boto3.client("s3", endpoint_url="http://%s:%s" % server.get_host_and_port())
        self.s3.create_bucket(Bucket=BUCKET)
        self.instances = []

    def make(self, name, weights):
        """A model directory, as `spadework import` writes it."""
        out = self.folder / name
        files = {"--weights": weights, "--encoder": "encoder_zip.pth", "--options": "opt.txt"}
        arguments = [part for flag, file in files.items() for part in (flag, str(CHECKPOINTS / file))]
        subprocess.run([self.binary, "import", *arguments, "--out", str(out)], check=True, capture_output=True)
        return out

    def upload(self, directory, key):
        for file in directory.iterdir():
            self.s3.upload_file(str(file), BUCKET, f"{key}/{file.name}")

    def start(self, url, cache, wait=True):
        log = self.folder / f"instance{len(self.instances) + 1}.log"
        admin = f"127.0.0.1:{free_port()}"
        settings = ["--models", url, "--cache-dir", str(cache), "--lame-duck", "0s", "--admin-listen", admin]
        instance = Instance(self.binary, log, *settings)
        instance.admin = f"http://{admin}"
        self.instances.append(instance)
        return instance.wait_ready() if wait else instance


    def close(self):
        for instance in self.instances:
            instance.kill()
        self.server.stop()


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def models(instance):
    with urllib.request.urlopen(f"{instance.url}/models") as answer:
        return {model["name"]: model["digest"] for model in json.load(answer)["models"]}


def reload(instance, name):
    """The status of a reload and its answer."""
    request = urllib.request.Request(f"{instance.admin}/admin/models/{name}/reload", method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def listed(place, one):
    """A folder of models without a manifest of its own: each has one."""
    place.upload(one, "models/first")
    place.upload(one, "models/second")
    place.s3.put_object(Bucket=BUCKET, Key="models/notes/README.md", Body=b"no model")
    instance = place.start(f"s3://{BUCKET}/models", place.folder / "cache-listed")
    expect({"first", "second"} < set(models(instance)), "models are found by listing", models(instance))
    instance.terminate()


def broken_off(place, one):
    """Every connection ends early; then a process is killed in the middle."""
    place.upload(one, "tiny")
    url = f"s3://{BUCKET}/tiny"
    size = (one / "generator.safetensors").stat().st_size
    place.proxy.cut, place.proxy.ranges = size // 3, []
    instance = place.start(url, place.folder / "cache-cut")
    expect("tiny" in models(instance) and place.proxy.ranges, "a download that breaks off is continued", place.proxy.ranges)
    instance.terminate()
    place.proxy.cut = None

    cache = place.folder / "cache-killed"
    place.proxy.hold = size // 2
    instance = place.start(url, cache, wait=False)
    expect(place.proxy.held.wait(30), "the store falls silent in the middle of a file")
    expect(not instance.ready(), "an instance that is fetching is not ready")
    instance.kill()
    place.proxy.held.clear()
    instance = place.start(url, cache, wait=False)
    expect(place.proxy.held.wait(30), "and again after the process was killed")
    took, code = instance.terminate()
    expect(code == 0 and took < 10, "SIGTERM ends an instance that is fetching", took, code)
    place.proxy.hold, place.proxy.ranges = None, []
    instance = place.start(url, cache)
    expect(place.proxy.ranges and place.proxy.ranges[0] > 0, "the next process continues it", place.proxy.ranges)
    return instance, cache


def replaced_and_refused(place, instance, other):
    before = models(instance)["tiny"]
    place.upload(other, "tiny")
    status, answer = reload(instance, "tiny")
    expect(status == 200 and answer["replaced"], "an upload is taken on by a reload", answer)
    after = models(instance)["tiny"]
    expect(after != before, "and is what is served")

    lines = (other / "SHA256SUMS").read_text().splitlines()
    lies = "".join(f"{'0' * 64}{line[64:]}\n" if "generator" in line else f"{line}\n" for line in lines)
    place.s3.put_object(Bucket=BUCKET, Key="tiny/SHA256SUMS", Body=lies.encode())
    status, answer = reload(instance, "tiny")
    expect(status == 422 and "SHA-256" in answer["detail"], "a wrong digest is refused", answer)
    expect(models(instance)["tiny"] == after, "and what was served goes on")


def vanished(place, instance, url, cache):
    after = models(instance)["tiny"]
    place.proxy.gone = True
    status, answer = reload(instance, "tiny")
    expect(status == 502, "a store that is gone is told", answer)
    expect(instance.ready() and models(instance)["tiny"] == after, "and what was served goes on")
    instance.terminate()
    instance = place.start(url, cache)
    expect(models(instance)["tiny"] == after, "a start without the store serves what is on disk")
    instance.terminate()
    place.proxy.gone = False


def full_disk(place, other):
    """On a file system that is too small."""
    if os.geteuid() != 0:
        print("skip  a full disk: only root may mount a small file system")
        return
    place.upload(other, "tiny")
    cache = place.folder / "cache-small"
    cache.mkdir()
    size = (other / "generator.safetensors").stat().st_size
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size // 2}", "tmpfs", str(cache)]
    if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:
        print("skip  a full disk: no file system may be mounted here")
        return
    try:
        instance = place.start(f"s3://{BUCKET}/tiny", cache, wait=False)
        code = instance.process.wait(60)
        expect(code == 1 and "No space left on device" in instance.log.read_text(), "a full disk ends the start", code)
        subprocess.run(["mount", "-o", f"remount,size={4 * size}", str(cache)], check=True)
        place.proxy.ranges = []
        instance = place.start(f"s3://{BUCKET}/tiny", cache)
        expect(place.proxy.ranges and place.proxy.ranges[0] > 0, "with more room it goes on where it was", place.proxy.ranges)
        instance.terminate()
    finally:
        subprocess.run(["umount", "-l", str(cache)], check=False)


def main(binary, folder):
    place = Place(binary, folder)
    try:
        check(place)
    finally:
        place.close()


def check(place):
    one, other = place.make("one", "hook_zip.pth"), place.make("other", "oldest_legacy.pth")
    listed(place, one)
    instance, cache = broken_off(place, one)
    replaced_and_refused(place, instance, other)
    vanished(place, instance, f"s3://{BUCKET}/tiny", cache)
    full_disk(place, other)


if __name__ == "__main__":
    main(*sys.argv[1:])
