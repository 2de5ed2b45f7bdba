"""Certified Hessian eigenvalues for PyTorch, JAX and NumPy.

How sharp is this minimum, and does it matter? Every number comes with its error.

Examples
--------
>>> import numpy as np, sharpness
>>> diagonal = np.linspace(0.0, 3.0, 200)
>>> r = sharpness.lambda_max(lambda v: diagonal * v, dim=200)
>>> bool(r.lower <= 3.0 <= r.upper)
True
"""

from sharpness._adaptive import Adaptive, adaptive
from sharpness._errors import (
    ChangingOperatorError,
    Interrupted,
    InvalidInputError,
    NotDifferentiableError,
    NotFiniteError,
    NotSymmetricError,
    OperatorError,
    SharpnessError,
    WrongDerivativeError,
)
from sharpness._estimators import Diagonal, density, diagonal, frobenius_norm, trace
from sharpness._experiments import (
    Claims,
    FailedRunsError,
    Figure,
    Interpolation,
    Landscape,
    MeasuredEigenvalue,
    Measurement,
    Record,
    Report,
    Run,
    Runs,
    SharpnessWarning,
    bench,
    claims,
    data,
    figure,
    info,
    interpolate,
    landscape,
    measure,
    report,
    reproduce,
    rescale,
    runs,
    sweep,
    train,
)
from sharpness._layers import Layer, Layers, per_layer
from sharpness._native import __version__
from sharpness._ranks import EffectiveRank, effective_rank
from sharpness._results import Density, Eigenpairs, Eigenvalue, Estimate
from sharpness._solvers import eigenpairs, lambda_max, lambda_min, top_k

__all__ = [
    "Adaptive",
    "ChangingOperatorError",
    "Claims",
    "Density",
    "Diagonal",
    "EffectiveRank",
    "Eigenpairs",
    "Eigenvalue",
    "Estimate",
    "FailedRunsError",
    "Figure",
    "Interpolation",
    "Interrupted",
    "InvalidInputError",
    "Landscape",
    "Layer",
    "Layers",
    "MeasuredEigenvalue",
    "Measurement",
    "NotDifferentiableError",
    "NotFiniteError",
    "NotSymmetricError",
    "OperatorError",
    "Record",
    "Report",
    "Run",
    "Runs",
    "SharpnessError",
    "SharpnessWarning",
    "WrongDerivativeError",
    "__version__",
    "adaptive",
    "bench",
    "claims",
    "data",
    "density",
    "diagonal",
    "effective_rank",
    "eigenpairs",
    "figure",
    "frobenius_norm",
    "info",
    "interpolate",
    "lambda_max",
    "lambda_min",
    "landscape",
    "measure",
    "per_layer",
    "report",
    "reproduce",
    "rescale",
    "runs",
    "sweep",
    "top_k",
    "trace",
    "train",
]
