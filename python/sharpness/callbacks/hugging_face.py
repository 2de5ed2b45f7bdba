"""λ_max during training with Hugging Face's Trainer."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from sharpness.callbacks._every import LambdaMaxEvery


class LambdaMaxCallback(TrainerCallback):
    """Measure λ_max of the trainer's model every n optimizer steps, and log it to whatever the trainer reports to.

    Parameters
    ----------
    trainer : transformers.Trainer
        Add the callback to it: ``trainer.add_callback(LambdaMaxCallback(trainer, batches, every=100))``.
    data, every, **options
        As for `sharpness.callbacks.LambdaMaxEvery`. A batch is a dict with ``labels``, and the loss is the model's own, unless
        ``loss_fn`` says otherwise.

    Examples
    --------
    >>> from sharpness.callbacks.hugging_face import LambdaMaxCallback
    >>> trainer.add_callback(LambdaMaxCallback(trainer, batches, every=100))  # doctest: +SKIP
    """

    def __init__(self, trainer: Any, data: Any, *, every: int, loss_fn: Any = None, **options: Any) -> None:
        self.watch = LambdaMaxEvery(trainer.model, loss_fn, data, every=every, log=trainer.log, **options)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure after a step that is due."""
        self.watch.step(state.global_step)
