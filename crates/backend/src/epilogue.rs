//! What follows a layer in the same pass.

/// What follows the bias of a layer in the same pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Epilogue {
    /// Nothing.
    #[default]
    None,
    /// `max(z, 0)`.
    Relu,
    /// `max(z, 0)`, then the maximum of each 2x2 window, two pixels apart and without padding: an odd last row or column is
    /// left out.
    ReluMaxPool,
}

impl Epilogue {
    /// Height and width after the epilogue.
    pub const fn output(self, (height, width): (usize, usize)) -> (usize, usize) {
        match self {
            Self::None | Self::Relu => (height, width),
            Self::ReluMaxPool => (height / 2, width / 2),
        }
    }
}
