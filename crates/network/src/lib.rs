//! The loss of a network as a function of one flat parameter vector, with exact first and second derivatives.
