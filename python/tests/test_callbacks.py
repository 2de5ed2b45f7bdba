"""λ_max during training."""

import math

import pytest

import sharpness
from sharpness.callbacks import LambdaMaxEvery

torch = pytest.importorskip("torch")


def classifier():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 24), torch.nn.Tanh(), torch.nn.Linear(24, 3))
    data = (torch.randn(64, 6), torch.randint(3, (64,)))
    return model, torch.nn.CrossEntropyLoss(), data


def train(model, loss_fn, data, steps, after):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model(data[0]), data[1]).backward()
        optimizer.step()
        after()


def test_a_loop_measures_every_n_steps_from_the_last_eigenvector():
    model, loss_fn, data = classifier()
    logged, cold = [], []
    watch = LambdaMaxEvery(model, loss_fn, data, every=10, log=logged.append, rtol=1e-4)

    def after():
        if watch.step() is not None:
            cold.append(sharpness.lambda_max(model, loss_fn, data, rtol=1e-4, seed=1))

    train(model, loss_fn, data, 40, after)
    assert [step for step, _ in watch.history] == [10, 20, 30, 40]
    for (_, warm), alone, line in zip(watch.history, cold, logged, strict=True):
        assert warm.value == pytest.approx(alone.value, rel=1e-3)
        assert (
            line["lambda_max"] == warm.value
            and line["lambda_max_lower"] <= warm.value <= line["lambda_max_upper"]
        )
    assert sum(found.products for _, found in watch.history[1:]) <= sum(found.products for found in cold[1:])


def test_training_is_not_disturbed():
    plain, loss_fn, data = classifier()
    train(plain, loss_fn, data, 20, lambda: None)
    watched, loss_fn, data = classifier()
    watch = LambdaMaxEvery(watched, loss_fn, data, every=3)
    train(watched, loss_fn, data, 20, watch.step)
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("every", [0, -1, 1.5, None, True])
def test_the_period_must_be_a_number_of_steps(every):
    with pytest.raises(sharpness.InvalidInputError, match="every"):
        LambdaMaxEvery(*classifier(), every=every)


def test_lightning_logs_to_its_loggers(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from lightning.pytorch.loggers import CSVLogger

    from sharpness.callbacks.lightning import LambdaMaxCallback

    model, loss_fn, data = classifier()

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x)

        def training_step(self, batch, _):
            return loss_fn(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data), batch_size=16)
    callback, logger = LambdaMaxCallback(loss_fn, data, every=4), CSVLogger(tmp_path)
    trainer = lightning.Trainer(
        max_epochs=2, callbacks=[callback], logger=logger, accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(Module(), loader)
    assert [step for step, _ in callback.watch.history] == [4, 8]
    assert "lambda_max" in (tmp_path / "lightning_logs/version_0/metrics.csv").read_text()
    assert float(trainer.callback_metrics["lambda_max"]) == pytest.approx(callback.watch.history[-1][1].value)


def test_hugging_face_logs_to_its_trainer(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from sharpness.callbacks.hugging_face import LambdaMaxCallback

    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=30, dim=16, hidden_dim=32, n_layers=1, n_heads=2, max_position_embeddings=8, num_labels=2
    )
    model = transformers.DistilBertForSequenceClassification(config)
    tokens, labels = torch.randint(30, (16, 6)), torch.randint(2, (16,))
    examples = [{"input_ids": t, "labels": y} for t, y in zip(tokens, labels, strict=True)]
    settings = transformers.TrainingArguments(
        tmp_path, max_steps=4, per_device_train_batch_size=4, report_to=[], use_cpu=True, disable_tqdm=True,
        save_strategy="no", logging_strategy="no",
    )  # fmt: skip
    trainer = transformers.Trainer(model, settings, train_dataset=examples)
    callback = LambdaMaxCallback(trainer, {"input_ids": tokens, "labels": labels}, every=2)
    trainer.add_callback(callback)
    trainer.train()
    logged = [line["lambda_max"] for line in trainer.state.log_history if "lambda_max" in line]
    assert len(logged) == 2 and all(map(math.isfinite, logged))
    assert logged == [found.value for _, found in callback.watch.history]
