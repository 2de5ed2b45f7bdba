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
from sharpness._estimators import density, frobenius_norm, trace
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
from sharpness._native import __version__
from sharpness._results import Density, Eigenpairs, Eigenvalue, Estimate
from sharpness._solvers import eigenpairs, lambda_max, lambda_min, top_k

__all__ = [
    "ChangingOperatorError",
    "Claims",
    "Density",
    "Eigenpairs",
    "Eigenvalue",
    "Estimate",
    "FailedRunsError",
    "Figure",
    "Interpolation",
    "Interrupted",
    "InvalidInputError",
    "Landscape",
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
    "bench",
    "claims",
    "data",
    "density",
    "eigenpairs",
    "figure",
    "frobenius_norm",
    "info",
    "interpolate",
    "lambda_max",
    "lambda_min",
    "landscape",
    "measure",
    "report",
    "reproduce",
    "rescale",
    "runs",
    "sweep",
    "top_k",
    "trace",
    "train",
]
