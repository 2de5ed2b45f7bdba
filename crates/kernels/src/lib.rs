//! CPU loops over slices. Knows no tensors and no derivatives.
