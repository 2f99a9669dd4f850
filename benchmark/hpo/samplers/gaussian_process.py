"""A Gaussian process of scikit-learn over points of a space: Matérn 5/2 and noise."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.gaussian_process import GaussianProcessRegressor

    Array = NDArray[np.float64]
    Bounds = tuple[float, float] | Literal["fixed"]


def fitted(
    points: Array,
    scores: Array,
    *,
    amplitude: tuple[float, Bounds],
    length: tuple[float | Array, Bounds],
    noise: tuple[float, Bounds],
    restarts: int = 0,
    seed: int = 0,
) -> GaussianProcessRegressor:
    """The process of scores at points; `length` is one for all coordinates, or one for each.

    Each part of the kernel is a first value with the bounds within which it is fitted, or "fixed".
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from threadpoolctl import threadpool_limits

    kernel = ConstantKernel(*amplitude) * Matern(*length, nu=2.5) + WhiteKernel(*noise)
    model = GaussianProcessRegressor(kernel, n_restarts_optimizer=restarts, random_state=seed)
    # Trials that run meanwhile are being measured; a length at its bound is an answer too.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(points, scores)


def without_noise(model: GaussianProcessRegressor) -> GaussianProcessRegressor:
    """The process, which from now on predicts the function and not a measurement of it."""
    model.kernel_.k2.noise_level = 1e-10
    return model


def lengths(model: GaussianProcessRegressor) -> Array:
    """The fitted length of each coordinate."""
    found: Array = model.kernel_.k1.k2.length_scale
    return found
