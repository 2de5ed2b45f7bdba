"""What the command line does, from Python."""

from sharpness._experiments.errors import FailedRunsError, SharpnessWarning
from sharpness._experiments.landscapes import Interpolation, Landscape, interpolate, landscape
from sharpness._experiments.records import MeasuredEigenvalue, Record
from sharpness._experiments.results import Measurement, Run, Runs, runs
from sharpness._experiments.study import Claims, Figure, Report, claims, figure, report, reproduce
from sharpness._experiments.tools import bench, data, info
from sharpness._experiments.training import measure, rescale, sweep, train

__all__ = [
    "Claims",
    "FailedRunsError",
    "Figure",
    "Interpolation",
    "Landscape",
    "MeasuredEigenvalue",
    "Measurement",
    "Record",
    "Report",
    "Run",
    "Runs",
    "SharpnessWarning",
    "bench",
    "claims",
    "data",
    "figure",
    "info",
    "interpolate",
    "landscape",
    "measure",
    "report",
    "reproduce",
    "rescale",
    "runs",
    "sweep",
    "train",
]
