//! Errors as exceptions.

use pyo3::PyErr;
use pyo3::import_exception;
use sharpness_curvature::Error;

import_exception!(sharpness._errors, ChangingOperatorError);
import_exception!(sharpness._errors, InvalidInputError);
import_exception!(sharpness._errors, NotFiniteError);
import_exception!(sharpness._errors, NotSymmetricError);
import_exception!(sharpness._errors, OperatorError);

/// The exception of an error. One that the callable raised passes unchanged.
pub(crate) fn exception(error: Error) -> PyErr {
    match error {
        Error::Operator(cause) => match cause.downcast::<PyErr>() {
            Ok(raised) => *raised,
            Err(other) => OperatorError::new_err(other.to_string()),
        },
        Error::NonFinite { .. } => NotFiniteError::new_err(error.to_string()),
        Error::Decomposition { .. } => OperatorError::new_err(error.to_string()),
        _ => InvalidInputError::new_err(error.to_string()),
    }
}
