//! `cargo xtask python` installs the Python package with pip, as users do, and runs its checks; `cargo xtask wheels` builds what is
//! published.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};

use crate::step::{Action, Invocation, Step, Tool};

const PYTHON: Tool = Tool {
    name: "Python with venv and pip",
    probe: "python3 -m ensurepip --version",
    install: "`apt-get install python3-venv`",
};
/// Of the environment, in which all commands run.
const ENVIRONMENT: &str = "target/python";
const REQUIREMENTS: &str = "python/tests/requirements.txt";

/// The step.
pub(crate) fn step() -> Step {
    Step::new("python", Action::Check(check, "cargo xtask python")).with_tool(PYTHON)
}

/// Runs the checks.
///
/// # Errors
/// The package does not build, or a check fails.
pub(crate) fn check(root: &Path) -> Result<()> {
    prepare(root)?;
    let run = |line: &str| Invocation::new(&format!("{ENVIRONMENT}/bin/{line}")).run(root);
    run("pip install --quiet --no-deps --force-reinstall .")?;
    run("ruff format --check python")?;
    run("ruff check python")?;
    run("mypy")?;
    // The tests run beside the sources, which lack the extension module, but import the installed package.
    run("pytest --quiet --import-mode=importlib python/tests")?;
    run("pytest --quiet --import-mode=importlib --doctest-modules --pyargs sharpness")
}

/// Where [`wheels`] builds.
const WHEELS: &str = "target/wheels";

/// Packs the sources, builds a wheel for manylinux2014 from them alone, and installs it.
///
/// # Errors
/// A file is missing from the sources, or the wheel does not build or run.
pub(crate) fn wheels(root: &Path) -> Result<()> {
    let folder = root.join(WHEELS);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    prepare(root)?;
    let run = |folder: &Path, line: &str| Invocation::new(line).run(folder);
    let tool = |name: &str| root.join(ENVIRONMENT).join("bin").join(name).display().to_string();
    run(root, &format!("{} install --quiet maturin ziglang", tool("pip")))?;
    run(root, &format!("{} sdist --out {WHEELS}", tool("maturin")))?;
    let version = env!("CARGO_PKG_VERSION");
    run(&folder, &format!("tar xzf sharpness-{version}.tar.gz"))?;
    // Zig is a module of this Python.
    let python = tool("python");
    let build = "-m maturin build --release --zig --compatibility manylinux2014 --out ..";
    let zig = format!("env CARGO_ZIGBUILD_PYTHON_PATH={python} {python} {build}");
    run(&folder.join(format!("sharpness-{version}")), &zig)?;
    run(&folder, "python3 -m venv --clear env")?;
    run(&folder, "env/bin/pip install --quiet numpy")?;
    run(&folder, "env/bin/pip install --quiet --no-index --find-links . sharpness")?;
    run(&folder, "env/bin/sharpness --version")
}

/// Creates the environment, unless it already has what the tests need.
///
/// # Errors
/// Python or a package cannot be installed.
pub(crate) fn prepare(root: &Path) -> Result<()> {
    static PREPARING: Mutex<()> = Mutex::new(());
    let _alone = PREPARING.lock();
    let needed =
        fs::read_to_string(root.join(REQUIREMENTS)).with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    let marker = root.join(ENVIRONMENT).join("requirements.txt");
    if fs::read_to_string(&marker).is_ok_and(|present| present == needed) {
        return Ok(());
    }
    Invocation::new(&format!("python3 -m venv --clear {ENVIRONMENT}")).run(root)?;
    Invocation::new(&format!("{ENVIRONMENT}/bin/pip install --quiet -r {REQUIREMENTS}")).run(root)?;
    fs::write(&marker, needed).with_context(|| format!("cannot write {}", marker.display()))
}
