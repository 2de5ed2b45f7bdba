"""λ_max during training with Lightning."""

from __future__ import annotations

from typing import Any

try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback

from sharpness.callbacks._every import LambdaMaxEvery


class LambdaMaxCallback(Callback):
    """Measure λ_max of a LightningModule every n optimizer steps, and log it to the trainer's loggers.

    Parameters
    ----------
    loss_fn, data, every, **options
        As for `sharpness.callbacks.LambdaMaxEvery`; the model is the LightningModule, called with the inputs of a batch.

    Examples
    --------
    >>> from sharpness.callbacks.lightning import LambdaMaxCallback
    >>> callback = LambdaMaxCallback(loss_fn, (images, labels), every=100)  # doctest: +SKIP
    >>> lightning.Trainer(callbacks=[callback]).fit(module, loader)  # doctest: +SKIP
    """

    def __init__(self, loss_fn: Any, data: Any, *, every: int, **options: Any) -> None:
        super().__init__()
        # The model is known once training starts; this checks the arguments at once.
        LambdaMaxEvery(None, loss_fn, data, every=every, **options)
        self._arguments = (loss_fn, data, every, options)
        self.watch: LambdaMaxEvery | None = None

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Measure after a step that is due."""
        if self.watch is None:
            loss_fn, data, every, options = self._arguments
            self.watch = LambdaMaxEvery(
                pl_module,
                loss_fn,
                data,
                every=every,
                log=lambda found: _log(trainer, found),
                **options,
            )
        self.watch.step(trainer.global_step)


def _log(trainer: Any, found: dict[str, float]) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(found, step=trainer.global_step)
    trainer.callback_metrics.update(_tensors(found))


def _tensors(found: dict[str, float]) -> dict[str, Any]:
    import torch

    return {name: torch.tensor(value) for name, value in found.items()}
