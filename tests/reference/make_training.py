"""Remakes `training/`: training steps of small networks, as `spadework-train verify` reads them.

    python make_training.py [--all FOLDER]        (with the packages of requirements.txt)

`--all` makes more steps than are kept here, elsewhere: `SPADEWORK_STEPS=FOLDER cargo test -p spadework-training` reads
them. A file holds the tensors of one step (see `crates/training/src/reference.rs`); its header names the networks and the
objective, and the versions it was made with. Steps are computed in f64 and stored in f32.
"""

import argparse
import json
import platform
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

import spade
from make_fixtures import SMALL, label_maps, normal
from training import ConvNorm, Models, Networks, Objective

FOLDER = Path(__file__).parent / "training"

STEPS = {
    "hinge_encoder_edges": (
        Networks(
            replace(SMALL, mask=(32, 64), z_dim=5, unknown_label=True, instance_edges=True, encoder=("published", 1)),
            layers=3,
            width=2,
        ),
        Objective(),
    ),
    "least_squares_shared_instance": (
        Networks(
            replace(SMALL, mask=(32, 64), modulation="shared", norm="instance", kernel=5),
            scales=1,
            layers=2,
            width=3,
            norm=ConvNorm(spectral=True, norm="batch"),
        ),
        Objective(gan="least_squares", feature_matching=0.0),
    ),
    "original_color_noise": (
        Networks(
            replace(SMALL, mask=(32, 64), z_dim=4, noise=True, encoder=("color", 1)),
            scales=3,
            width=2,
            norm=ConvNorm(spectral=True, norm="none"),
        ),
        Objective(gan="original", kl_reduction={"groups": 4}, low_resolution=10.0),
    ),
    "wasserstein_more_plain": (
        Networks(
            replace(SMALL, mask=(128, 128), grid=(2, 2), upsampling="more", norm="sync_batch"),
            generator_spectral=False,
            width=2,
            norm=ConvNorm(spectral=False, norm="instance"),
        ),
        Objective(gan="wasserstein"),
    ),
    "hinge_most_latent": (
        Networks(replace(SMALL, mask=(128, 128), grid=(1, 1), upsampling="most", ngf=2, hidden=2, z_dim=6), width=2),
        Objective(),
    ),
    "hinge_encoder_batch": (
        Networks(
            replace(SMALL, mask=(32, 64), z_dim=3, encoder=("published", 2)),
            encoder_norm=ConvNorm(spectral=True, norm="batch"),
            layers=1,
            width=2,
        ),
        Objective(),
    ),
}


KEPT = {"hinge_encoder_edges", "least_squares_shared_instance", "original_color_noise"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    folder = parser.parse_args().all or FOLDER
    folder.mkdir(exist_ok=True)
    for name, (networks, objective) in STEPS.items():
        torch.manual_seed(20190318)
        if name in KEPT or folder != FOLDER:
            write(folder / f"{name}.safetensors", networks, objective, step(networks, objective))


def step(networks: Networks, objective: Objective) -> dict[str, Tensor]:
    """Both passes, the discriminator's without an optimiser's step before it."""
    architecture = networks.architecture
    models = Models(networks, objective)
    for network in models.all().values():
        network.train()
        away_from_zero(network)
        network.double()
    height, width = architecture.mask
    maps = label_maps(architecture)
    planes = spade.semantics(architecture, maps["labels"], maps.get("edges")).double()
    picture = torch.rand(2, 3, height, width).float() * 2 - 1
    eps = normal(2, architecture.z_dim) if architecture.z_dim else None
    noise = [normal(2, 1, *size) for size in architecture.noise_planes()]

    tensors = {"label": maps["labels"].long(), "image": picture}
    tensors |= {"instance": maps["instances"].long()} if architecture.instance_edges else {}
    tensors |= {"noise": eps} if eps is not None else {}
    tensors |= {f"plane.{index}": plane for index, plane in enumerate(noise)}
    tensors |= copies("before", models, "all")
    losses, fake = models.generator_losses(planes, picture.double(), eps, noise)
    gradients = models.gradients(losses, "GE")
    tensors |= {"fake": fake} | {f"loss_g.{name}": loss for name, loss in losses.items()}
    tensors |= {f"grad_g.{name}": gradient for name, gradient in gradients.items()}
    losses = models.discriminator_losses(planes, picture.double(), eps, noise)
    gradients = models.gradients(losses, "D")
    tensors |= {f"loss_d.{name}": loss for name, loss in losses.items()}
    tensors |= {f"grad_d.{name}": gradient for name, gradient in gradients.items()}
    return tensors | copies("after", models, "buffers")


@torch.no_grad()
def away_from_zero(network: torch.nn.Module) -> None:
    """Random values for what PyTorch begins with 0 or 1, in f32."""
    for name, tensor in network.state_dict().items():
        if name.endswith(("noise_w", "running_mean")):
            tensor.normal_()
        elif name.endswith("running_var") or (tensor.dim() == 1 and name.endswith(".1.weight")):
            tensor.uniform_(0.5, 1.5)


def copies(when: str, models: Models, which: str) -> dict[str, Tensor]:
    tensors = {}
    for letter, network in models.all().items():
        chosen = dict(network.named_buffers()) if which == "buffers" else network.state_dict()
        tensors |= {f"{when}.{letter}.{name}": tensor.clone() for name, tensor in chosen.items()}
    return tensors


def write(path: Path, networks: Networks, objective: Objective, tensors: dict[str, Tensor]) -> None:
    made_with = f"PyTorch {torch.__version__}, Python {platform.python_version()}"
    case = {"networks": networks.json(), "objective": objective.json(), "made_with": made_with}
    single = lambda tensor: tensor.detach().float() if tensor.is_floating_point() else tensor
    save_file({key: single(tensor).contiguous() for key, tensor in tensors.items()}, path, {"case": json.dumps(case)})
    losses = {name: round(value.item(), 4) for name, value in tensors.items() if name.startswith("loss")}
    print(f"{path.name}: {path.stat().st_size} bytes", losses)


if __name__ == "__main__":
    main()
