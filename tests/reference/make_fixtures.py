"""Remakes `fixtures/`: small networks with random weights, their inputs, and what the reference makes of them.

    python make_fixtures.py        (with the packages of requirements.txt)

Each file is one case. Its header names the architecture as `config.json` would, and the versions it was made with.
Weights and inputs are numbers that f16 holds exactly and are stored so; expected outputs are computed in f64 and stored
in f32. Label maps have the size `mask`; pictures are bytes, to be repeated `repeat` times on both axes.
"""

import json
import platform
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import spade
from spade import Architecture

FOLDER = Path(__file__).parent / "fixtures"
SMALL = Architecture(label_nc=5, mask=(16, 24), grid=(1, 2), ngf=1, hidden=4)

LAYERS = {
    "layer_batch_3x3": (SMALL, (2, 5, 8, 12)),
    "layer_sync_batch_1x1": (replace(SMALL, norm="sync_batch", kernel=1, instance_edges=True), (2, 6, 16, 24)),
    "layer_instance_5x5": (replace(SMALL, norm="instance", kernel=5, mask=(13, 7), unknown_label=True), (2, 4, 6, 10)),
}
BLOCKS = {  # the block's name and the size it runs at
    "block_same_width": (SMALL, "head_0", (4, 6)),
    "block_shortcut_and_noise": (replace(SMALL, noise=True, instance_edges=True), "up_1", (8, 12)),
    "block_instance_5x5": (replace(SMALL, norm="instance", kernel=5), "up_2", (8, 12)),
}
NETWORKS = {
    "network_mask_start_edges": replace(
        SMALL, mask=(32, 64), unknown_label=True, instance_edges=True, norm="sync_batch"
    ),
    "network_latent_instance_5x5": replace(SMALL, mask=(64, 32), grid=(2, 1), z_dim=6, norm="instance", kernel=5),
    "network_latent_and_noise": replace(SMALL, mask=(32, 64), z_dim=6, noise=True),
    "network_more_edges": replace(SMALL, mask=(64, 64), grid=(1, 1), upsampling="more", instance_edges=True),
    "network_most_latent": replace(
        SMALL, mask=(100, 90), grid=(1, 1), upsampling="most", ngf=2, hidden=2, z_dim=6, instance_edges=True
    ),
    "network_shared_mask_start": replace(SMALL, mask=(32, 64), modulation="shared", unknown_label=True),
    "network_shared_latent_noise": replace(
        SMALL, mask=(50, 70), modulation="shared", instance_edges=True, z_dim=6, noise=True
    ),
}
BATCHES = {"network_mask_start_edges", "network_latent_and_noise"}  # two pictures; the others hold one
ENCODERS = {
    "encoder_published": replace(SMALL, z_dim=6, encoder=("published", 2)),
    "encoder_color": replace(SMALL, z_dim=6, encoder=("color", 2)),
}
PICTURES = [((48, 80), 1), ((32, 32), 8), ((24, 32), 12)]  # smaller than 256x256, equal, and larger in one axis


def main() -> None:
    torch.manual_seed(20190318)
    FOLDER.mkdir(exist_ok=True)
    for name, (architecture, shape) in LAYERS.items():
        write(name, architecture, *layer(architecture, shape))
    for name, (architecture, block, size) in BLOCKS.items():
        write(name, architecture, *residual_block(architecture, block, size), block=block)
    shared = NETWORKS["network_shared_mask_start"]
    write("modulation_shared", shared, *modulation(shared))
    for name, architecture in NETWORKS.items():
        write(name, architecture, *network(name, architecture))
    for name, architecture in ENCODERS.items():
        write(name, architecture, *encoder(architecture), repeat=[repeat for _, repeat in PICTURES])


@torch.no_grad()
def layer(architecture: Architecture, shape: tuple[int, ...]):
    module = with_random_weights(spade.Spade(architecture, shape[1]))
    x, maps = (2 * normal(*shape) + 0.5).half().double(), label_maps(architecture)
    return module, maps | {"x": x}, {"out": module(x, planes(architecture, maps))}


@torch.no_grad()
def residual_block(architecture: Architecture, block: str, size: tuple[int, int]):
    inner, outer = next((inner, outer) for name, inner, outer, _ in architecture.blocks() if name == block)
    module = with_random_weights(spade.ResidualBlock(architecture, inner, outer))
    inputs = label_maps(architecture) | {"x": normal(2, inner, *size)}
    if architecture.noise:
        inputs["noise.0"] = normal(2, 1, *size)
    return module, inputs, {"out": module(inputs["x"], planes(architecture, inputs), inputs.get("noise.0"))}


@torch.no_grad()
def modulation(architecture: Architecture):
    """The first layer, one in the middle and the last, each at its own resolution."""
    module = with_random_weights(spade.SharedModulation(architecture))
    maps = label_maps(architecture, count=1)
    layers = [layer for block in module(planes(architecture, maps)) for layer in block]
    sizes = {0: architecture.grid, 8: (8, 16), len(layers) - 1: (16, 32)}
    resize = lambda index: nn.functional.interpolate(layers[index], size=sizes[index], mode="nearest")
    return module, maps, {f"out.{index}": resize(index) for index in sizes}


@torch.no_grad()
def network(name: str, architecture: Architecture):
    module = with_random_weights(spade.Generator(architecture))
    inputs = label_maps(architecture)
    if architecture.z_dim:
        inputs["z"] = normal(2, architecture.z_dim)
    noise = [normal(2, 1, *size) for size in architecture.noise_planes()]
    inputs |= {f"noise.{index}": plane for index, plane in enumerate(noise)}
    outputs = {"out": module(planes(architecture, inputs), inputs.get("z"), noise)}
    if architecture.norm == "sync_batch":  # once, for the statistics of the batch itself
        outputs["out_train"] = deepcopy(module).train()(planes(architecture, inputs), inputs.get("z"), noise)
    if name not in BATCHES:
        inputs, outputs = ({name: tensor[:1] for name, tensor in part.items()} for part in (inputs, outputs))
    return module, inputs, outputs


@torch.no_grad()
def encoder(architecture: Architecture):
    module = with_random_weights(spade.encoder(architecture))
    inputs, outputs = {}, {}
    for index, (size, repeat) in enumerate(PICTURES):
        picture = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8)
        large = picture.repeat_interleave(repeat, 1).repeat_interleave(repeat, 2)
        inputs[f"picture.{index}"] = picture
        outputs[f"mu.{index}"], outputs[f"logvar.{index}"] = module(spade.scaled(large).double())
    return module, inputs, outputs


def with_random_weights(module: nn.Module) -> nn.Module:
    """In f64 and for inference. Every tensor differs from what an uninitialised or ignored one would be."""
    for name, tensor in module.eval().double().state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        fan_in = max(1, tensor[0].numel())
        if name.endswith("running_var"):
            values = 0.5 + torch.rand(tensor.shape)
        elif name == "conv_img.weight":
            values = torch.randn(tensor.shape) * 0.15 / fan_in**0.5  # keeps tanh from hiding errors
        elif tensor.dim() == 1:
            values = torch.randn(tensor.shape) * 0.3
        else:
            values = torch.randn(tensor.shape) / fan_in**0.5
        tensor.copy_(values.half())
    return module


def label_maps(architecture: Architecture, count: int = 2) -> dict[str, Tensor]:
    """A few rectangles of random labels on a background, each an instance of its own."""
    height, width = architecture.mask
    labels = torch.zeros(count, height, width, dtype=torch.uint8)
    instances = torch.zeros_like(labels)
    for picture in range(count):
        for shape in range(8):
            top, left = random(height), random(width)
            area = (picture, slice(top, top + 1 + random(height - top)), slice(left, left + 1 + random(width - left)))
            labels[area] = random(architecture.label_planes)
            instances[area] = shape + 1
    maps = {"labels": labels}
    if architecture.instance_edges:
        maps |= {"instances": instances, "edges": spade.instance_edges(instances).byte()}
    return maps


def planes(architecture: Architecture, maps: dict[str, Tensor]) -> Tensor:
    return spade.semantics(architecture, maps["labels"], maps.get("edges")).double()


def random(bound: int) -> int:
    return int(torch.randint(bound, ()))


def normal(*shape: int) -> Tensor:
    return torch.randn(shape).half().double()


def exact_half(tensor: Tensor) -> Tensor:
    """Bytes stay as they are."""
    if not tensor.is_floating_point():
        return tensor
    assert torch.equal(tensor.half().double(), tensor), "the file must hold what was computed with"
    return tensor.half()


def write(name: str, architecture: Architecture, module: nn.Module, inputs: dict, outputs: dict, **more) -> None:
    weights = {f"weights.{key}": tensor for key, tensor in module.state_dict().items() if tensor.is_floating_point()}
    tensors = {key: exact_half(tensor) for key, tensor in (inputs | weights).items()}
    tensors |= {key: tensor.float() for key, tensor in outputs.items()}
    made_with = f"PyTorch {torch.__version__}, Python {platform.python_version()}"
    case = {"architecture": architecture.json(), "made_with": made_with, **more}
    path = FOLDER / f"{name}.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, {"case": json.dumps(case)})
    largest = max(float(tensor.abs().max()) for tensor in outputs.values())
    print(f"{path.name}: {path.stat().st_size} bytes, largest output {largest:.3f}")


if __name__ == "__main__":
    main()
