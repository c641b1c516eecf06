import numpy as np
import torch

from sepconv import demo_train
from sepconv._train_torch import TorchNetwork


def test_pytorch_trains_the_same_network(monkeypatch, tmp_path, capsys):
    digits = [demo_train.Digits(part.images[:320], part.labels[:320]) for part in demo_train.digits()]
    model = demo_train.network()
    ours, theirs = demo_train.Network(model), TorchNetwork(torch, model, model.get_weights(), demo_train._DECAY)
    assert np.array_equal(ours.read(digits[1].images), theirs.read(digits[1].images))
    one, other = (demo_train.fit(network, *digits, "", epochs=2) for network in (ours, theirs))
    assert np.allclose(one.losses, other.losses, rtol=1e-3) and one.losses[1] < one.losses[0]
    kernels = {tuple(p.shape): p.detach().numpy() for p in theirs.stack.parameters()}
    ours_now = model.layers[1].get_weights()[0]
    assert np.abs(kernels[32, 1, 3, 3] - ours_now.transpose(2, 3, 0, 1)).max() < 1e-2 < np.abs(ours_now).max()


def test_the_demo_times_pytorch_beside(monkeypatch, tmp_path, capsys):
    fit = demo_train.fit
    monkeypatch.setattr(demo_train, "fit", lambda *arguments: fit(*arguments, epochs=1))
    assert demo_train.main(str(tmp_path / "x.png")) == 0
    out = capsys.readouterr().out
    assert f"PyTorch {torch.__version__}" in out and "times as long" in out and (tmp_path / "x.png").stat().st_size > 10_000
