"""Models of Hugging Face's transformers, which return their own loss."""

from __future__ import annotations

import dense
import pytest
import torch
from models import classes
from torch import nn

from sharpness._torch import ModelOperator

transformers = pytest.importorskip("transformers")

SMALL = {"vocab_size": 11, "attn_implementation": "sdpa"}
PADDED = -100


def gpt2() -> nn.Module:
    config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=8, **SMALL)
    return transformers.GPT2LMHeadModel(config)


def llama() -> nn.Module:
    config = transformers.LlamaConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, **SMALL
    )
    return transformers.LlamaForCausalLM(config)


def bert() -> nn.Module:
    config = transformers.BertConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, num_labels=3, **SMALL
    )
    return transformers.BertForTokenClassification(config)


def batches(model: nn.Module) -> list[dict[str, torch.Tensor]]:
    ids = classes(5, 6, count=11)
    labels = classes(5, 6, count=3, seed=1) if "Bert" in type(model).__name__ else ids.clone()
    labels[0, 3:], labels[3, 1:] = PADDED, PADDED
    mask = (labels != PADDED).long()
    whole = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return [
        {name: part[:2] for name, part in whole.items()},
        {name: part[2:] for name, part in whole.items()},
    ]


@pytest.mark.parametrize("make", [gpt2, llama, bert])
@pytest.mark.filterwarnings("ignore")
def test_products_match_the_dense_hessian_of_the_mean_over_tokens(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make().double()
    parts = batches(model)
    causal = make is not bert
    counts = [int((part["labels"][:, int(causal) :] != PADDED).sum()) for part in parts]
    names = [name for name, _ in model.named_parameters()]
    chosen = [name for name in names if any(key in name for key in ("attn", "attention"))]
    operator = ModelOperator(model, None, parts, parameters=chosen)
    assert operator.loss_terms == sum(counts)
    with operator:
        operator.check()

    def objective(call: dense.Call) -> torch.Tensor:
        losses = [call(**part).loss * count for part, count in zip(parts, counts, strict=True)]
        return sum(losses) / sum(counts)

    function, at = dense.flat_function(model.eval(), objective, [name for name in names if name in chosen])
    vector = torch.ones_like(at) / at.numel() ** 0.5
    with dense.plain_kernels(), operator:
        _, expected = torch.autograd.functional.hvp(function, at, vector)
        # The loss of causal models and LLaMA's norm round to float32.
        assert dense.error(operator(vector), expected) < (1e-6 if causal else 1e-11)
    if causal:
        assert operator.report()["checks"]["finite_differences"]["verdict"] in ("passed", "inconclusive")
