//! Which instruction set the kernels use.

use std::sync::OnceLock;

/// The environment variable that chooses another instruction set than the best.
const VARIABLE: &str = "SHARPNESS_ISA";

/// An instruction set that the vector kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// What every processor of the target has.
    Portable,
}

impl Isa {
    /// All, best first.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// The name that `SHARPNESS_ISA` and reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }
}

/// What is wrong with the value of `SHARPNESS_ISA`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsaError(String);

impl std::fmt::Display for IsaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let available: Vec<_> = Isa::ALL.iter().filter(|i| i.is_available()).map(|i| i.name()).collect();
        write!(f, "{VARIABLE} is `{}`, but this processor offers: {}", self.0, available.join(", "))
    }
}

impl std::error::Error for IsaError {}

/// The instruction set that `SHARPNESS_ISA` names, or the best that the processor has.
///
/// # Errors
/// If the variable names something else.
pub fn detect() -> Result<Isa, IsaError> {
    // An empty variable is an unset one, as usual.
    let Some(wanted) = std::env::var_os(VARIABLE).filter(|wanted| !wanted.is_empty()) else {
        return Ok(best());
    };
    let wanted = wanted.to_string_lossy().into_owned();
    let known = Isa::ALL.into_iter().find(|i| i.name() == wanted && i.is_available());
    known.ok_or(IsaError(wanted))
}

fn best() -> Isa {
    Isa::ALL.into_iter().find(|i| i.is_available()).unwrap_or(Isa::Portable)
}

/// The instruction set of this process: that of [`detect`] at the first call, and the best where it names none.
pub fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| detect().unwrap_or_else(|_| best()))
}
