"""Remakes `checkpoints/`: one small generator and encoder as training runs have left them on disk.

    python make_checkpoints.py        (with the packages of requirements.txt)

- `hook_zip.pth`, `hook_legacy.pth`: `weight_orig`, `weight_u`, `weight_v`, in both containers of PyTorch;
- `oldest_legacy.pth`: the same without `weight_v`;
- `parametrized_module.pth`: `parametrizations.weight.*`, and `module.` before every name;
- `encoder_zip.pth`, `encoder_parametrized.pth`: the encoder;
- `opt.txt`: the options, as the training script prints them;
- `folded.safetensors`, `folded_encoder.safetensors`: what all of them mean; `folded_oldest.safetensors`: where the
  oldest form, which has to recover `v` from `u`, means another number;
- `malicious_*.pth`: pickles that ask whoever unpickles them to run a shell command. Never unpickle them.
"""

import io
import os
import pickle
from collections import OrderedDict
from copy import deepcopy
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

import spade
from make_fixtures import with_random_weights

FOLDER = Path(__file__).parent / "checkpoints"
ARCHITECTURE = spade.Architecture(
    label_nc=3, unknown_label=True, mask=(32, 32), grid=(1, 1), ngf=1, hidden=2, norm="sync_batch", z_dim=4,
    encoder=("published", 1),
)
OPTIONS = {
    "aspect_ratio": (1.0, ""),
    "contain_dontcare_label": (True, "[default: False]"),
    "crop_size": (32, "[default: 256]"),
    "dataroot": ("./datasets/a: b", ""),
    "label_nc": (3, "[default: 182]"),
    "ngf": (1, "[default: 64]"),
    "no_instance": (True, "[default: False]"),
    "norm_E": ("spectralinstance", ""),
    "norm_G": ("spectralspadesyncbatch3x3", ""),
    "num_upsampling_layers": ("normal", ""),
    "use_vae": (True, "[default: False]"),
    "z_dim": (4, "[default: 256]"),
}
MARKER = "a-pickle-was-run"


def main() -> None:
    torch.manual_seed(1903_07291)
    FOLDER.mkdir(exist_ok=True)
    generator = with_random_weights(spade.Generator(ARCHITECTURE)).float()
    hook, parametrized = normed(generator, residual_convs(generator))
    save("hook_zip.pth", hook, zip=True)
    save("hook_legacy.pth", hook, zip=False)
    oldest = OrderedDict((name, tensor) for name, tensor in hook.items() if not name.endswith("weight_v"))
    save("oldest_legacy.pth", oldest, zip=False)
    parallel = OrderedDict((f"module.{name}", tensor) for name, tensor in parametrized.items())
    save("parametrized_module.pth", parallel, zip=True)
    save_file(folded(hook), FOLDER / "folded.safetensors")
    another = {name: tensor for name, tensor in folded(oldest).items() if f"{name}_orig" in oldest}
    save_file(another, FOLDER / "folded_oldest.safetensors")

    encoder = with_random_weights(spade.encoder(ARCHITECTURE)).float()
    hook, parametrized = normed(encoder, [f"layer{index}.0" for index in range(1, 7)])
    save("encoder_zip.pth", hook, zip=True)
    save("encoder_parametrized.pth", parametrized, zip=True)
    save_file(folded(hook), FOLDER / "folded_encoder.safetensors")

    (FOLDER / "opt.txt").write_text(options())
    write_malicious()


def residual_convs(generator: nn.Module) -> list[str]:
    """Where the published generators have spectral norm."""
    return [name for name, _ in generator.named_modules() if name.split(".")[-1] in ("conv_0", "conv_1", "conv_s")]


def normed(network: nn.Module, convs: list[str]) -> tuple[OrderedDict, OrderedDict]:
    """PyTorch's own spectral norm of the named convs, in its old and its new form, with the same vectors in both."""
    old, new = deepcopy(network), deepcopy(network)
    for name in convs:
        conv = spectral_norm(old.get_submodule(name))
        conv.train()(torch.zeros(1, conv.in_channels, 3, 3))  # one power iteration
        parametrizations.spectral_norm(new.get_submodule(name))
    hook, parametrized = old.state_dict(), new.state_dict()
    for name in convs:
        parametrized[f"{name}.parametrizations.weight.0._u"] = hook[f"{name}.weight_u"]
        parametrized[f"{name}.parametrizations.weight.0._v"] = hook[f"{name}.weight_v"]
    check_against_pytorch(old.eval(), hook, convs)
    return hook, parametrized


def folded(state: OrderedDict) -> dict:
    """W / (u' W v) with W seen as (out, rest), in f64; a missing v is W'u / |W'u|."""
    result = {}
    for name, tensor in state.items():
        if name.endswith("weight_orig"):
            base = name.removesuffix("weight_orig")
            matrix, u = tensor.double().flatten(1), state[f"{base}weight_u"].double()
            v = state[f"{base}weight_v"].double() if f"{base}weight_v" in state else None
            v = nn.functional.normalize(matrix.T @ u, dim=0) if v is None else v
            result[f"{base}weight"] = (tensor.double() / (u @ matrix @ v)).float()
        elif not name.endswith(("weight_u", "weight_v", "num_batches_tracked")):
            result[name] = tensor
    return result


def check_against_pytorch(network: nn.Module, hook: OrderedDict, convs: list[str]) -> None:
    """The formula above is what PyTorch computes with."""
    for name in convs:
        conv = network.get_submodule(name)
        conv(torch.zeros(1, conv.in_channels, 3, 3))  # its hook sets `weight`
        torch.testing.assert_close(conv.weight, folded(hook)[f"{name}.weight"], rtol=1e-5, atol=1e-6)


def options() -> str:
    lines = [f"{key:>25}: {value!s:<30}\t{default}" for key, (value, default) in OPTIONS.items()]
    rules = ["-" * 17 + f" {title} " + "-" * rest for title, rest in (("Options", 15), ("End", 19))]
    return "\n".join([rules[0], *lines, rules[1], ""])


class Call:
    """Pickled as a call of os.system."""

    def __reduce__(self):
        return os.system, (f"touch {MARKER}",)


class Discarded:
    """Pickled as the same call, whose result is thrown away in favour of an empty dictionary."""

    def __reduce__(self):
        return OrderedDict, ([],), {"state": Call()}


def write_malicious() -> None:
    state = OrderedDict([("fc.weight", torch.zeros(16, 4)), ("fc.bias", Call())])
    save("malicious_zip.pth", state, zip=True)
    save("malicious_legacy.pth", state, zip=False)
    save("malicious_root_zip.pth", Call(), zip=True)
    save("malicious_root_legacy.pth", Call(), zip=False)
    save("malicious_state_zip.pth", OrderedDict([("fc.weight", torch.zeros(16, 4)), ("x", Discarded())]), zip=True)
    (FOLDER / "malicious_plain.pth").write_bytes(pickle.dumps({"fc.weight": Call()}, protocol=2))


def save(name: str, state, zip: bool) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=zip)
    (FOLDER / name).write_bytes(buffer.getvalue())
    print(f"{name}: {len(buffer.getvalue())} bytes")


if __name__ == "__main__":
    main()
