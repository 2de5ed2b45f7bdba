"""Loss, gradient, curvature products and lambda_max of a PyTorch network, over one batch."""

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch.nn import functional


def mean_loss(kind, logits, labels):
    """Mean over the examples of softmax cross-entropy, or of 0.5 ||logits - onehot||^2."""
    if kind == "cross_entropy":
        return functional.cross_entropy(logits, labels)
    onehot = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return 0.5 * (logits - onehot).square().sum(dim=1).mean()


def logit_hessian_product(kind, logits, tangent):
    """The Hessian of the mean loss in the logits, times `tangent`; both are [n, classes]."""
    n = logits.shape[0]
    if kind == "squared_error":
        return tangent / n
    p = logits.softmax(dim=1)
    return (p * tangent - p * (p * tangent).sum(dim=1, keepdim=True)) / n


def flatten(tensors):
    """One f64 NumPy vector of all tensors in order."""
    return torch.cat([t.detach().reshape(-1) for t in tensors]).double().numpy()


class Linearization:
    """One network at one point and batch; its graph is built once and used for every product."""

    def __init__(self, network, images, labels, kind="cross_entropy"):
        self.kind = kind
        self.parameters = list(network.parameters())
        self.logits = network(images)
        self.correct = int((self.logits.argmax(dim=1) == labels).sum())
        loss = mean_loss(kind, self.logits, labels)
        self.loss = loss.item()
        self.gradients = torch.autograd.grad(loss, self.parameters, create_graph=True)
        self.products = 0

    def gradient(self):
        """The flat gradient of the mean loss."""
        return flatten(self.gradients)

    def unflatten(self, vector):
        """The flat vector as tensors of the parameters' shapes."""
        parts = torch.from_numpy(vector).split([p.numel() for p in self.parameters])
        return [part.view_as(p) for part, p in zip(parts, self.parameters)]

    def pullback(self, outputs, cotangents, create_graph=False):
        """Vector-Jacobian product of outputs by the parameters, as tensors."""
        return torch.autograd.grad(
            outputs,
            self.parameters,
            cotangents,
            retain_graph=True,
            create_graph=create_graph,
            materialize_grads=True,
        )

    def hvp(self, vector):
        """The Hessian of the mean loss times a flat vector, by reverse over reverse."""
        self.products += 1
        return flatten(self.pullback(self.gradients, self.unflatten(vector)))

    def gauss_newton_product(self, vector):
        """J^T H_loss J v; J v is the derivative in u of the pullback J^T u along v."""
        cotangent = torch.zeros_like(self.logits, requires_grad=True)
        pulled = self.pullback(self.logits, cotangent, create_graph=True)
        (tangent,) = torch.autograd.grad(pulled, cotangent, self.unflatten(vector), retain_graph=True)
        weighted = logit_hessian_product(self.kind, self.logits, tangent)
        return flatten(self.pullback(self.logits, weighted))

    def lambda_max(self, start, tolerance):
        """The largest algebraic Hessian eigenvalue by ARPACK, with residual ||H x - value x||, ||x|| = 1."""
        self.products = 0
        size = start.size
        hessian = LinearOperator((size, size), matvec=self.hvp, dtype=np.float64)
        values, vectors = eigsh(hessian, k=1, which="LA", v0=start, tol=tolerance)
        value, vector = float(values[0]), vectors[:, 0]
        products = self.products
        residual = float(np.linalg.norm(self.hvp(vector) - value * vector))
        return {"value": value, "residual": residual, "products": products}
