//! Eigenvalues of a symmetric operator that is known only by `v -> A v`. Knows nothing of networks.
