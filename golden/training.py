"""Twenty steps of SGD, SAM, ASAM or Adam in PyTorch, and its schedules: what the Rust optimisers must follow."""

import torch
from curvature import flatten, mean_loss
from torch import nn

STEPS = 20
BATCH = 16
ASAM_ETA = 0.01
NORM_EPSILON = 1e-12
"""Added to the norm by which a perturbation is divided, as in the usual SAM code."""


def loss_and_gradients(network, images, labels):
    """The mean cross-entropy of one batch and its gradient, a tensor for each parameter."""
    loss = mean_loss("cross_entropy", network(images), labels)
    return loss.item(), torch.autograd.grad(loss, list(network.parameters()))


def perturbation(network, gradients, method, rho):
    """SAM: rho g / ||g|| (Foret et al. 2021, eq. 2). ASAM: rho T^2 g / ||T g|| (Kwon et al. 2021, eq. 8).

    T is |w| + ASAM_ETA for tensors whose name ends in "weight" (those of batch norm too), else one.
    """
    factors = []
    for name, parameter in network.named_parameters():
        scaled = method == "asam" and name.endswith("weight")
        one = torch.ones_like(parameter)
        factors.append(parameter.detach().abs() + ASAM_ETA if scaled else one)
    scaled = [t * g for t, g in zip(factors, gradients)]
    norm = torch.cat([g.reshape(-1) for g in scaled]).norm() + NORM_EPSILON
    return [rho / norm * t * g for t, g in zip(factors, scaled)]


def set_batch_norm_momentum(network, momentum):
    """With momentum 0 a forward pass in training mode leaves the running statistics as they are."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum


def perturbed_gradients(network, images, labels, gradients, optimizer):
    """The gradient at w + perturbation; the parameters are back at w, bit for bit, afterwards."""
    parameters = list(network.parameters())
    origin = [p.detach().clone() for p in parameters]
    steps = perturbation(network, gradients, optimizer["method"], optimizer["rho"])
    with torch.no_grad():
        for parameter, step in zip(parameters, steps):
            parameter.add_(step)
    if optimizer["bn_stats"] == "first":
        set_batch_norm_momentum(network, 0.0)
    _, perturbed = loss_and_gradients(network, images, labels)
    set_batch_norm_momentum(network, 0.1)
    with torch.no_grad():
        for parameter, value in zip(parameters, origin):
            parameter.copy_(value)
    return perturbed


def build(network, optimizer):
    """PyTorch's optimizer of that description; SAM and ASAM are SGD at another point."""
    if optimizer["method"] == "adam":
        return torch.optim.AdamW(
            network.parameters(),
            lr=optimizer["learning_rate"],
            betas=optimizer["betas"],
            eps=optimizer["epsilon"],
            weight_decay=optimizer["weight_decay"],
        )
    return torch.optim.SGD(
        network.parameters(),
        lr=optimizer["learning_rate"],
        momentum=optimizer["momentum"],
        weight_decay=optimizer["weight_decay"],
        nesterov=optimizer["nesterov"],
    )


def train(network, images, labels, optimizer):
    """Trains in place, batch k being the images (16 k + j) mod n for j < 16; the losses before each step."""
    built = build(network, optimizer)
    network.train()
    losses = []
    for k in range(STEPS):
        batch = (k * BATCH + torch.arange(BATCH)) % len(labels)
        loss, gradients = loss_and_gradients(network, images[batch], labels[batch])
        losses.append(loss)
        if optimizer["method"] in ("sam", "asam"):
            gradients = perturbed_gradients(
                network, images[batch], labels[batch], gradients, optimizer
            )
        for parameter, gradient in zip(network.parameters(), gradients):
            parameter.grad = gradient
        built.step()
    return losses


def final_state(network):
    """The parameters' flat vector, the norm of each tensor, and the running statistics in full."""
    norms = {name: p.detach().norm().item() for name, p in network.named_parameters()}
    running = {name: b.tolist() for name, b in network.named_buffers() if "running" in name}
    return flatten(network.parameters()), norms, running


def learning_rates(schedule, epochs, steps_per_epoch, warmup_steps):
    """The learning rate of every step under a schedule that advances each epoch, times a linear warm-up that advances each step."""
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    by_epoch = schedule(sgd)
    warmup = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    total = max(warmup_steps - 1, 1)
    by_step = torch.optim.lr_scheduler.LinearLR(warmup, 1 / max(warmup_steps, 1), 1.0, total)
    rates = []
    for _ in range(epochs):
        for _ in range(steps_per_epoch):
            rates.append(sgd.param_groups[0]["lr"] * warmup.param_groups[0]["lr"])
            sgd.step()
            warmup.step()
            by_step.step()
        by_epoch.step()
    return rates


def schedules():
    """Learning rates of the schedules, from 0.4, over 12 epochs of 4 steps."""
    lr_scheduler = torch.optim.lr_scheduler
    epochs, steps = 12, 4
    cases = {
        "step": (lambda sgd: lr_scheduler.StepLR(sgd, step_size=5, gamma=0.3), 0),
        "cosine": (lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, epochs, eta_min=0.05), 0),
        "step_warmup": (lambda sgd: lr_scheduler.StepLR(sgd, step_size=5, gamma=0.3), 7),
        "cosine_warmup": (lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, epochs, eta_min=0.05), 7),
    }
    described = {
        "learning_rate": 0.4,
        "epochs": epochs,
        "steps_per_epoch": steps,
        "step_epochs": 5,
        "gamma": 0.3,
        "final_factor": 0.05,
        "warmup_steps": 7,
    }
    for name, (schedule, warmup_steps) in cases.items():
        described[name] = learning_rates(schedule, epochs, steps, warmup_steps)
    return described
