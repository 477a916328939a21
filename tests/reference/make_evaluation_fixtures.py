"""Computes with numpy and scipy what the trainer's measures are tested against.

    python tests/reference/make_evaluation_fixtures.py > crates/training/src/evaluate/fixtures.json
"""

import json

import numpy as np
from scipy import linalg, ndimage, stats

random = np.random.default_rng(7)


def numbers(array, digits=9):
    return [float(f"{value:.{digits}g}") for value in np.asarray(array, np.float64).ravel()]


def frechet(one, two):
    c1, c2 = np.cov(one, rowvar=False), np.cov(two, rowvar=False)
    root = linalg.sqrtm(c1 @ c2)
    return float(((one.mean(0) - two.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * np.real(root)))


def kernel(one, two):
    k = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
    n = len(one)
    within = lambda m: (m.sum() - np.trace(m)) / (n * (n - 1))
    return float(within(k(one, one)) + within(k(two, two)) - 2 * k(one, two).mean())


def laplacian(picture, smallest):
    """picture: (3, H, W)."""
    f = np.array([1, 4, 6, 4, 1]) / 16
    smooth = lambda x, g: ndimage.convolve1d(ndimage.convolve1d(x, g * f, axis=1, mode="mirror"), g * f, axis=2, mode="mirror")
    levels = [picture]
    while min(levels[-1].shape[1:]) >= 2 * smallest:
        levels.append(smooth(levels[-1], 1.0)[:, ::2, ::2])
    for i in range(len(levels) - 1):
        spread = np.zeros_like(levels[i])
        spread[:, ::2, ::2] = levels[i + 1]
        levels[i] = levels[i] - smooth(spread, 2.0)
    return levels


one = random.normal(size=(12, 4)).round(3)
two = (random.normal(size=(12, 4)) @ np.diag([1, 2, 0.5, 1]) + 0.3).round(3)
few = random.normal(size=(3, 4)).round(3)  # fewer vectors than dimensions: singular covariances
directions = random.normal(size=(4, 3))
directions /= np.linalg.norm(directions, axis=0)
picture = random.integers(0, 256, size=(12, 16, 3))
levels = laplacian(picture.transpose(2, 0, 1).astype(float), 6)
sliced = np.mean([stats.wasserstein_distance(one @ d, two @ d) for d in directions.T])

print(
    json.dumps(
        {
            "one": one.tolist(),
            "two": two.tolist(),
            "few": few.tolist(),
            "frechet": frechet(one, two),
            "frechet_few": frechet(one, few),
            "kernel": kernel(one, two),
            "directions": numbers(directions),
            "sliced": float(sliced),
            "image": picture.ravel().tolist(),
            "levels": [numbers(level, 7) for level in levels],
        }
    )
)
