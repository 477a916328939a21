"""A training step in PyTorch, as plainly as the paper says it: what the Rust training job must reproduce.

Written from Park et al. 2019 (arXiv 1903.07291), sections 3.1 and appendix A, on top of `spade.py`. Spectral norm is
`torch.nn.utils.spectral_norm`, so that tensors have the names that published training checkpoints have.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

import spade


@dataclass(frozen=True)
class ConvNorm:
    """What surrounds a conv of the encoder or discriminator."""

    spectral: bool = True
    norm: str = "instance"  # none, instance, batch, sync_batch


@dataclass(frozen=True)
class Networks:
    """Everything that defines the networks of a training run, under the names of a run's configuration."""

    architecture: spade.Architecture
    generator_spectral: bool = True
    encoder_norm: ConvNorm = ConvNorm()
    scales: int = 2
    layers: int = 4
    width: int = 64
    norm: ConvNorm = ConvNorm()

    def json(self) -> dict:
        discriminator = dict(scales=self.scales, layers=self.layers, width=self.width, norm=vars(self.norm))
        return dict(
            architecture=self.architecture.json(),
            generator_spectral=self.generator_spectral,
            encoder_norm=vars(self.encoder_norm),
            discriminator=discriminator,
        )


@dataclass(frozen=True)
class Objective:
    """The losses' form and weights. A weight of 0 leaves its loss out."""

    gan: str = "hinge"  # hinge, least_squares, original, wasserstein
    feature_matching: float = 10.0
    kl: float = 0.05
    kl_reduction: object = "sum"  # or {"groups": size}
    low_resolution: float = 0.0

    def json(self) -> dict:
        return dict(vars(self))


def with_norm(conv: nn.Conv2d, around: ConvNorm) -> nn.Module:
    """A norm behind a conv takes the conv's bias out again, so there is none."""
    if around.norm != "none":
        conv.register_parameter("bias", None)
    conv = spectral_norm(conv) if around.spectral else conv
    if around.norm == "none":
        return conv
    channels = conv.out_channels
    norm = nn.InstanceNorm2d(channels) if around.norm == "instance" else nn.BatchNorm2d(channels)
    return nn.Sequential(conv, norm)


def generator(networks: Networks) -> spade.Generator:
    network = spade.Generator(networks.architecture)
    if networks.generator_spectral:
        for module in network.modules():
            if isinstance(module, spade.ResidualBlock):
                for name in ("conv_0", "conv_1", "conv_s"):
                    if hasattr(module, name):
                        spectral_norm(getattr(module, name))
    return network


def encoder(networks: Networks) -> nn.Module:
    network, around = spade.encoder(networks.architecture), networks.encoder_norm
    if networks.architecture.encoder[0] == "published":
        for index in range(1, 7):
            layer = network.get_submodule(f"layer{index}")
            if around.spectral:
                spectral_norm(layer[0])
            if around.norm != "instance":
                layer[1] = nn.BatchNorm2d(layer[0].out_channels)
    return network


class Scale(nn.Module):
    """Appendix A: one scale of the discriminator. Every layer's output is kept."""

    def __init__(self, networks: Networks):
        super().__init__()
        inner, outer = networks.architecture.semantic_nc + 3, networks.width
        leaky = lambda: nn.LeakyReLU(0.2)
        conv = lambda inner, outer, stride: nn.Conv2d(inner, outer, 4, stride=stride, padding=2)
        self.model0 = nn.Sequential(conv(inner, outer, 2), leaky())
        for index in range(1, networks.layers):
            inner, outer = outer, min(2 * outer, 512)
            stride = 1 if index == networks.layers - 1 else 2
            layer = nn.Sequential(with_norm(conv(inner, outer, stride), networks.norm), leaky())
            self.add_module(f"model{index}", layer)
        self.add_module(f"model{networks.layers}", nn.Sequential(conv(outer, 1, 1)))

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = []
        for layer in self.children():
            x = layer(x)
            outputs.append(x)
        return outputs


class Discriminator(nn.Module):
    """Several scales, each seeing half the size of the one before."""

    def __init__(self, networks: Networks):
        super().__init__()
        for index in range(networks.scales):
            self.add_module(f"discriminator_{index}", Scale(networks))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        results = []
        for scale in self.children():
            results.append(scale(x))
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return results


def against(mode: str, decision: Tensor, real: bool) -> Tensor:
    """The loss of a discriminator whose decision should have been `real`, or fake."""
    toward = -decision if real else decision
    if mode == "hinge":
        return F.relu(1 + toward).mean()
    if mode == "wasserstein":
        return toward.mean()
    target = torch.full_like(decision, float(real))
    if mode == "least_squares":
        return F.mse_loss(decision, target)
    return F.binary_cross_entropy_with_logits(decision, target)


def generator_gan(mode: str, decision: Tensor) -> Tensor:
    return -decision.mean() if mode in ("hinge", "wasserstein") else against(mode, decision, True)


@dataclass
class Models:
    """The networks of a run, in training."""

    networks: Networks
    objective: Objective
    G: nn.Module = field(init=False)
    D: nn.Module = field(init=False)
    E: nn.Module | None = field(init=False)

    def __post_init__(self):
        self.G, self.D = generator(self.networks), Discriminator(self.networks)
        self.E = encoder(self.networks) if self.networks.architecture.encoder else None

    def all(self) -> dict[str, nn.Module]:
        return {"G": self.G, "D": self.D} | ({"E": self.E} if self.E else {})

    def generate(self, planes: Tensor, pictures: Tensor, eps: Tensor | None, noise: list[Tensor]):
        if self.E is None:
            return self.G(planes, eps, noise), None
        mu, logvar = self.E(pictures)
        return self.G(planes, mu + torch.exp(logvar / 2) * eps, noise), (mu, logvar)

    def discriminate(self, planes: Tensor, fake: Tensor, real: Tensor):
        """Fake and real as one batch; features of each."""
        both = self.D(torch.cat([torch.cat([planes, fake], 1), torch.cat([planes, real], 1)]))
        count = len(fake)
        return [[x[:count] for x in scale] for scale in both], [[x[count:] for x in scale] for scale in both]

    def generator_losses(self, planes: Tensor, real: Tensor, eps: Tensor | None, noise: list[Tensor]):
        """Losses by their published names, weighted, and the pictures."""
        objective = self.objective
        fake, posterior = self.generate(planes, real, eps, noise)
        of_fake, of_real = self.discriminate(planes, fake, real)
        scales = len(of_fake)
        losses = {"GAN": sum(generator_gan(objective.gan, maps[-1]) for maps in of_fake) / scales}
        if objective.feature_matching:
            pairs = [pair for a, b in zip(of_fake, of_real) for pair in zip(a[:-1], b[:-1])]
            matching = sum(F.l1_loss(a, b.detach()) for a, b in pairs)
            losses["GAN_Feat"] = matching * objective.feature_matching / scales
        if objective.low_resolution:
            pooled = F.l1_loss(F.avg_pool2d(fake, 8), F.avg_pool2d(real, 8))
            losses["L1"] = pooled * objective.low_resolution
        if posterior is not None:
            mu, logvar = posterior
            kl = -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())
            if objective.kl_reduction != "sum":
                kl = kl * objective.kl_reduction["groups"] / len(mu)
            losses["KLD"] = kl * objective.kl
        return losses, fake

    def discriminator_losses(self, planes: Tensor, real: Tensor, eps: Tensor | None, noise: list[Tensor]):
        with torch.no_grad():
            fake, _ = self.generate(planes, real, eps, noise)
        of_fake, of_real = self.discriminate(planes, fake, real)
        loss = lambda features, real: sum(against(self.objective.gan, maps[-1], real) for maps in features)
        return {
            "D_Fake": loss(of_fake, False) / len(of_fake),
            "D_real": loss(of_real, True) / len(of_real),
        }

    def gradients(self, losses: dict[str, Tensor], networks: str) -> dict[str, Tensor]:
        """Of the summed losses, by network and parameter."""
        named = {
            f"{network}.{name}": parameter
            for network in networks
            if network in self.all()
            for name, parameter in self.all()[network].named_parameters()
        }
        gradients = torch.autograd.grad(sum(losses.values()), list(named.values()))
        return dict(zip(named, gradients))
