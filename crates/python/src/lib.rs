//! The extension module `sharpness._native`: the solvers for operators that Python applies.
//!
//! | file | subject |
//! | --- | --- |
//! | `operator.rs` | a Python callable as a symmetric operator |
//! | `solvers.rs` | eigenpairs |
//! | `estimators.rs` | estimates from random probes |
//! | `device.rs` | Lanczos on vectors that Python keeps on a device |
//! | `program.rs` | the command line |
//! | `errors.rs` | errors as exceptions of `sharpness._errors` |
//!
//! `python/sharpness` checks arguments, converts vectors and builds the results that users see.

mod device;
mod errors;
mod estimators;
mod operator;
mod program;
mod solvers;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(program::main, module)?)?;
    module.add_function(wrap_pyfunction!(solvers::eigenpairs, module)?)?;
    module.add_function(wrap_pyfunction!(device::eigenpairs_on_device, module)?)?;
    module.add_function(wrap_pyfunction!(device::runs_lanczos, module)?)?;
    module.add_function(wrap_pyfunction!(estimators::trace, module)?)?;
    module.add_function(wrap_pyfunction!(estimators::hutch_plus_plus, module)?)?;
    module.add_function(wrap_pyfunction!(estimators::xtrace, module)?)?;
    module.add_function(wrap_pyfunction!(estimators::probes, module)?)?;
    module.add_function(wrap_pyfunction!(estimators::squared_frobenius_norm, module)?)?;
    module.add_function(wrap_pyfunction!(estimators::density, module)?)
}
