"""The SPADE networks in PyTorch, as plainly as the paper says them: the numbers that the Rust crates must reproduce.

Written from Park et al. 2019 (arXiv 1903.07291), sections 3 and appendix A, for tests only. It is slow, has no training
loop and computes in whatever dtype its weights have. Axes are N C H W; pictures are scaled to [-1, 1].
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-5


@dataclass(frozen=True)
class Architecture:
    """Every number of a network, under the names of `config.json`. Sizes are (height, width)."""

    label_nc: int
    mask: tuple[int, int]
    grid: tuple[int, int]
    ngf: int
    hidden: int
    unknown_label: bool = False
    instance_edges: bool = False
    upsampling: str = "normal"  # normal, more, most
    kernel: int = 3
    norm: str = "batch"  # batch, sync_batch, instance
    modulation: str = "per_layer"  # per_layer, shared
    z_dim: int | None = None
    noise: bool = False
    encoder: tuple[str, int] | None = None  # kind (published, color) and width

    def json(self) -> dict:
        """As `config.json` stores it."""
        size = lambda grid: {"height": grid[0], "width": grid[1]}
        fields = dict(vars(self), mask=size(self.mask), grid=size(self.grid))
        if self.encoder:
            fields["encoder"] = {"kind": self.encoder[0], "width": self.encoder[1]}
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def label_planes(self) -> int:
        return self.label_nc + self.unknown_label

    @property
    def semantic_nc(self) -> int:
        return self.label_planes + self.instance_edges

    def blocks(self) -> list[tuple[str, int, int, bool]]:
        """Name, input width, output width and whether the input is doubled first, in the order they run."""
        ngf, extra = self.ngf, self.upsampling in ("more", "most")
        blocks = [
            ("head_0", 16 * ngf, 16 * ngf, False),
            ("G_middle_0", 16 * ngf, 16 * ngf, True),
            ("G_middle_1", 16 * ngf, 16 * ngf, extra),
            ("up_0", 16 * ngf, 8 * ngf, True),
            ("up_1", 8 * ngf, 4 * ngf, True),
            ("up_2", 4 * ngf, 2 * ngf, True),
            ("up_3", 2 * ngf, ngf, True),
        ]
        return blocks + [("up_4", ngf, ngf // 2, True)] if self.upsampling == "most" else blocks

    def noise_planes(self) -> list[tuple[int, int]]:
        """Sizes of the noise planes, one for each block; empty without the extension."""
        planes, (height, width) = [], self.grid
        for _, _, _, doubled in self.blocks():
            height, width = (2 * height, 2 * width) if doubled else (height, width)
            planes.append((height, width))
        return planes if self.noise else []


def instance_edges(instances: Tensor) -> Tensor:
    """(N, H, W) instance ids to 1 where one of the four neighbours has another id."""
    edges = torch.zeros_like(instances, dtype=torch.bool)
    across = instances[:, :, 1:] != instances[:, :, :-1]
    down = instances[:, 1:, :] != instances[:, :-1, :]
    edges[:, :, 1:] |= across
    edges[:, :, :-1] |= across
    edges[:, 1:, :] |= down
    edges[:, :-1, :] |= down
    return edges


def semantics(architecture: Architecture, labels: Tensor, edges: Tensor | None = None) -> Tensor:
    """(N, H, W) label ids, and edges, to one-hot planes with the edge plane behind them."""
    planes = F.one_hot(labels.long(), architecture.label_planes).permute(0, 3, 1, 2).float()
    return torch.cat([planes, edges[:, None].float()], 1) if architecture.instance_edges else planes


class Spade(nn.Module):
    """Section 3: `normalized · (1 + gamma) + beta`, gamma and beta predicted from the label map at every pixel."""

    def __init__(self, architecture: Architecture, channels: int):
        super().__init__()
        if architecture.norm == "instance":
            self.param_free_norm = nn.InstanceNorm2d(channels, affine=False, eps=EPSILON)
        else:
            self.param_free_norm = nn.BatchNorm2d(channels, affine=False, eps=EPSILON)
        if architecture.modulation == "per_layer":
            hidden, kernel = architecture.hidden, architecture.kernel
            self.mlp_shared = nn.Sequential(same(architecture.semantic_nc, hidden, kernel), nn.ReLU())
            self.mlp_gamma = same(hidden, channels, kernel)
            self.mlp_beta = same(hidden, channels, kernel)

    def forward(self, x: Tensor, planes: Tensor, shared: tuple[Tensor, Tensor] | None = None) -> Tensor:
        gamma, beta = shared or self.predict(F.interpolate(planes, size=x.shape[2:], mode="nearest"))
        return self.param_free_norm(x) * (1 + gamma) + beta

    def predict(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.mlp_shared(planes)
        return self.mlp_gamma(hidden), self.mlp_beta(hidden)


class ResidualBlock(nn.Module):
    """Figure 4: two modulated convs beside a shortcut, which is modulated too where the width changes."""

    def __init__(self, architecture: Architecture, inner: int, outer: int):
        super().__init__()
        middle = min(inner, outer)
        self.norm_0, self.norm_1 = Spade(architecture, inner), Spade(architecture, middle)
        self.conv_0, self.conv_1 = same(inner, middle, 3), same(middle, outer, 3)
        self.learned_shortcut = inner != outer
        if self.learned_shortcut:
            self.norm_s = Spade(architecture, inner)
            self.conv_s = nn.Conv2d(inner, outer, 1, bias=False)
        if architecture.noise:
            self.noise_w = nn.Parameter(torch.zeros(middle))

    def forward(self, x: Tensor, planes: Tensor, noise: Tensor | None = None, shared=(None, None, None)) -> Tensor:
        """`noise` is one (N, 1, H, W) plane; `shared` gamma and beta of norm_0, norm_1 and norm_s."""
        dx = self.conv_0(F.leaky_relu(self.norm_0(x, planes, shared[0]), 0.2))
        if noise is not None:
            dx = dx + noise * self.noise_w[:, None, None]
        dx = self.conv_1(F.leaky_relu(self.norm_1(dx, planes, shared[1]), 0.2))
        if self.learned_shortcut:
            x = self.conv_s(self.norm_s(x, planes, shared[2]))
        return x + dx


class SharedModulation(nn.Module):
    """One network that predicts gamma and beta of every SPADE layer, split layer by layer in the order they run."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        hidden, kernel = architecture.hidden, architecture.kernel
        self.widths = []  # for each block: of norm_0, norm_1 and, where there is one, norm_s
        for _, inner, outer, _ in architecture.blocks():
            self.widths.append([inner, min(inner, outer)] + [inner] * (inner != outer))
        self.mlp_shared = nn.Sequential(same(architecture.semantic_nc, hidden, kernel), nn.ReLU())
        self.mlp_gamma_beta = same(hidden, 2 * sum(map(sum, self.widths)), kernel)

    def forward(self, planes: Tensor) -> list[list[Tensor]]:
        """For each block, for each of its layers: gamma above beta, (N, 2C, H, W), as large as the label map."""
        slices = iter(self.mlp_gamma_beta(self.mlp_shared(planes)).split([2 * w for b in self.widths for w in b], 1))
        return [[next(slices) for _ in block] for block in self.widths]


class Generator(nn.Module):
    """Appendix A: a latent or the label map itself, then modulated residual blocks, each at twice the resolution."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.architecture = architecture
        (height, width), start = architecture.grid, 16 * architecture.ngf
        if architecture.z_dim is None:
            self.fc = same(architecture.semantic_nc, start, 3)
        else:
            self.fc = nn.Linear(architecture.z_dim, start * height * width)
        for name, inner, outer, _ in architecture.blocks():
            self.add_module(name, ResidualBlock(architecture, inner, outer))
        if architecture.modulation == "shared":
            self.modulation = SharedModulation(architecture)
        self.conv_img = same(architecture.blocks()[-1][2], 3, 3)

    def forward(self, planes: Tensor, z: Tensor | None = None, noise: list[Tensor] | None = None) -> Tensor:
        x = self.start(planes, z)
        shared = self.modulation(planes) if self.architecture.modulation == "shared" else None
        for index, (name, _, _, doubled) in enumerate(self.architecture.blocks()):
            if doubled:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            layers = [None] * 3
            if shared:
                layers = [halves(F.interpolate(both, size=x.shape[2:], mode="nearest")) for both in shared[index]]
            x = self.get_submodule(name)(x, planes, noise[index] if noise else None, layers)
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))

    def start(self, planes: Tensor, z: Tensor | None) -> Tensor:
        grid = self.architecture.grid
        if z is None:
            return self.fc(F.interpolate(planes, size=grid, mode="nearest"))
        return self.fc(z).view(len(z), 16 * self.architecture.ngf, *grid)


class PublishedEncoder(nn.Module):
    """Section 3, multi-modal synthesis: a style picture to mean and log-variance of `z`."""

    def __init__(self, width: int, z_dim: int):
        super().__init__()
        inner = 3
        for index, factor in enumerate([1, 2, 4, 8, 8, 8], start=1):
            conv = nn.Conv2d(inner, factor * width, 3, stride=2, padding=1, bias=False)
            norm = nn.InstanceNorm2d(factor * width, affine=False, eps=EPSILON)
            self.add_module(f"layer{index}", nn.Sequential(conv, norm, nn.LeakyReLU(0.2)))
            inner = factor * width
        self.fc_mu = nn.Linear(inner * 16, z_dim)
        self.fc_var = nn.Linear(inner * 16, z_dim)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        x = at_256(picture)
        for index in range(1, 7):
            x = self.get_submodule(f"layer{index}")(x)
        return self.fc_mu(x.flatten(1)), self.fc_var(x.flatten(1))


class ColorEncoder(nn.Module):
    """The same task with pooling first and no normalisation, so that global colour survives."""

    def __init__(self, width: int, z_dim: int):
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 4 * width, 4 * width]
        convs = [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(widths, widths[1:])]
        self.layers = nn.ModuleList(convs)
        self.fc_mu = nn.Linear(widths[-1] * 16, z_dim)
        self.fc_var = nn.Linear(widths[-1] * 16, z_dim)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        x = F.avg_pool2d(at_256(picture), 2)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return self.fc_mu(x.flatten(1)), self.fc_var(x.flatten(1)).clamp(-8, 8)


def encoder(architecture: Architecture) -> PublishedEncoder | ColorEncoder:
    kind, width = architecture.encoder
    return {"published": PublishedEncoder, "color": ColorEncoder}[kind](width, architecture.z_dim)


def same(inner: int, outer: int, kernel: int) -> nn.Conv2d:
    """A conv whose output is as large as its input."""
    return nn.Conv2d(inner, outer, kernel, padding=kernel // 2)


def halves(both: Tensor) -> tuple[Tensor, Tensor]:
    """Gamma above beta, (N, 2C, H, W), to gamma and beta."""
    gamma, beta = both.chunk(2, 1)
    return gamma, beta


def at_256(picture: Tensor) -> Tensor:
    if picture.shape[2:] == (256, 256):
        return picture
    return F.interpolate(picture, size=(256, 256), mode="bilinear", align_corners=False)


def scaled(pictures: Tensor) -> Tensor:
    """(N, H, W, 3) bytes to (N, 3, H, W) in [-1, 1]."""
    return (pictures.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
