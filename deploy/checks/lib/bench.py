"""`spadework bench --url`, asked for JSON."""

import json
import subprocess


def bench(binary, url, *arguments):
    """What a load of the service at `url` came to."""
    command = [binary, "bench", "--url", url, "--json", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
