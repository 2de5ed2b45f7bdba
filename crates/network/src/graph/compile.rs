//! From a description to a graph.

use super::Graph;
use crate::backend::Backend;
use crate::fuse::fuse;
use crate::model::Model;

impl Model {
    /// The graph for `backend`: ops that no output depends on are left out, and those that the backend computes in one pass are
    /// fused. Parameters, their order and the outputs are the same for every backend.
    #[inline(never)]
    pub fn compile<B: Backend>(&self, backend: &B) -> Graph<B> {
        let live = self.live();
        let nodes = fuse(live, &self.outputs(), &|fusion| backend.fuses(fusion));
        Graph::new(self, nodes)
    }

    /// As [`Self::compile`] without fusing anything.
    pub fn compile_plain<B: Backend>(&self) -> Graph<B> {
        Graph::new(self, self.live())
    }
}
