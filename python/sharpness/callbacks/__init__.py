"""λ_max during training: every n steps, with a warm start, in a plain loop, Lightning or Hugging Face's Trainer.

The callbacks for trainers are in modules of their own, which import them: `sharpness.callbacks.lightning` and
`sharpness.callbacks.hugging_face`.
"""

from sharpness.callbacks._every import LambdaMaxEvery

__all__ = ["LambdaMaxEvery"]
