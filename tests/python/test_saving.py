import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

import sepconv
from sepconv.saving import files, load_weights, npz, save_weights


def layer(dtype=None, filters=4, **kwargs):
    made = sepconv.SeparableConv2D(filters, 3, input_shape=(8, 8, 3), dtype=dtype, name="stem", **kwargs)
    rng = np.random.default_rng(1)
    made.set_weights([rng.standard_normal(w.shape) for w in made.weights])
    return made


def model(dtype=None):
    made = sepconv.Sequential(
        [
            layer(dtype),
            sepconv.Activation("relu", name="act"),
            sepconv.DepthwiseConv2D(3, dtype=dtype, name="deep"),
            sepconv.SeparableConv2D(2, 3, use_bias=False, name="head", trainable=False),
        ],
        name="net",
    )
    rng = np.random.default_rng(2)
    made.set_weights([rng.standard_normal(w.shape) for w in made.weights])
    return made


def same(left, right):
    return len(left) == len(right) and all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(left, right))


@pytest.fixture(params=["w.npz", "w.weights.h5"])
def path(request, tmp_path):
    return tmp_path / request.param


@pytest.mark.parametrize("make", [layer, model])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "mixed_bfloat16"])
def test_every_dtype_comes_back_bit_for_bit(path, make, dtype):
    saved = make(dtype)
    kept = saved.get_weights()
    save_weights(path, saved)
    saved.set_weights([w * 0 for w in kept])
    saved.load_weights(str(path))
    assert same(saved.get_weights(), kept)


def test_nan_and_infinity_are_values(path):
    saved = layer()
    saved.bias = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    kept = saved.get_weights()
    saved.save_weights(path)
    saved.bias = np.zeros(4)
    saved.load_weights(path)
    assert same(saved.get_weights(), kept)


def test_a_layer_without_weights_has_a_file_too(path):
    saved = sepconv.Activation("relu", input_shape=(8, 8, 3))
    saved.save_weights(path)
    saved.load_weights(path)
    layer().save_weights(path)
    with pytest.raises(ValueError, match="which isn.t a weight here" if path.suffix == ".npz" else "must hold the 0 weights"):
        saved.load_weights(path)
    saved.save_weights(path)
    with pytest.raises(ValueError, match="lacks" if path.suffix == ".npz" else "must hold the weights of one layer"):
        layer().load_weights(path)


def test_a_load_is_seen_by_the_next_call(path):
    saved, x = layer(), np.ones((1, 8, 8, 3), np.float32)
    before = saved(x)
    saved.save_weights(path)
    saved.set_weights([w * 2 for w in saved.get_weights()])
    assert not np.array_equal(saved(x), before)
    saved.load_weights(path)
    np.testing.assert_array_equal(saved(x), before)


def test_numpy_reads_the_npz_and_we_read_numpys(tmp_path):
    saved, path = model(), tmp_path / "w.npz"
    saved.save_weights(path)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    stem = "layers/separable_conv2d"
    assert list(arrays)[:3] == [f"{stem}/depthwise_kernel", f"{stem}/pointwise_kernel", f"{stem}/bias"]
    assert same(list(arrays.values()), saved.get_weights())
    deep = "layers/depthwise_conv2d/kernel"
    arrays[deep] = np.asfortranarray(arrays[deep])
    for save in (np.savez, np.savez_compressed):
        save(path, **arrays)
        saved.set_weights([w * 0 for w in saved.get_weights()])
        saved.load_weights(path)
        assert same(saved.get_weights(), list(arrays.values()))


def test_another_model_of_the_same_layers_reads_it_whatever_their_names(path):
    def unnamed():
        return sepconv.Sequential([sepconv.Input((8, 8, 3)), *(sepconv.SeparableConv2D(3, 3) for _ in range(2))])

    saved, other = unnamed(), unnamed()
    assert not {a.name for a in saved.layers} & {b.name for b in other.layers}
    saved.save_weights(path)
    other.load_weights(path)
    assert same(other.get_weights(), saved.get_weights()) and not np.array_equal(*other.get_weights()[::3])


def test_entries_by_the_names_of_layers_are_read_by_those_names(tmp_path):
    path = tmp_path / "w.npz"
    # The second comes first, so that its name would be that of the other place.
    names = ("separable_conv2d_1", "separable_conv2d")
    saved = sepconv.Sequential([sepconv.SeparableConv2D(3, 3, input_shape=(8, 8, 3), name=n) for n in names])
    kept = saved.get_weights()
    np.savez(path, **{v.path: v.numpy() for v in saved.weights})
    saved.set_weights([w * 0 for w in kept])
    saved.load_weights(path)
    assert same(saved.get_weights(), kept)
    np.savez(path, **{v.path: v.numpy() for v in saved.weights[1:]})
    with pytest.raises(ValueError, match="lacks the entry 'separable_conv2d_1/depthwise_kernel'"):
        saved.load_weights(path)


def test_equal_weights_give_equal_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        layer().save_weights(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_h5_file_has_keras_layout(tmp_path):
    path = tmp_path / "w.weights.h5"
    saved = sepconv.Sequential([layer("bfloat16"), sepconv.SeparableConv2D(2, 3, name="second")], name="net")
    saved.save_weights(path)
    with h5py.File(path) as file:
        assert set(file["layers"]) == {"separable_conv2d", "separable_conv2d_1"}
        first = file["layers/separable_conv2d/vars"]
        assert first.attrs["name"] == "stem" and sorted(first) == ["0", "1", "2"]
        assert first["0"].dtype == np.dtype("V2") and first["0"].attrs["dtype"] == "bfloat16"
        assert file["layers/separable_conv2d_1/vars/1"].shape == (1, 1, 4, 2)
        assert file["vars"].attrs["name"] == "net" and list(file["vars"]) == []


def write_h5(path, arrays, group="vars"):
    with h5py.File(path, "w") as file:
        for index, array in enumerate(arrays):
            file[f"{group}/{index}"] = array


def test_a_layer_reads_itself_alone_and_as_the_one_layer_of_a_model(tmp_path):
    path, target = tmp_path / "w.weights.h5", layer()
    arrays = [np.full(w.shape, 2, np.float64) for w in target.weights]
    for group in ("vars", "layers/separable_conv2d/vars", "layers/anything/vars"):
        target.set_weights([w * 0 for w in arrays])
        write_h5(path, arrays, group)
        target.load_weights(path)
        assert all((w == 2).all() and w.dtype == np.float32 for w in target.get_weights())


def change_h5(path, change):
    with h5py.File(path, "a") as file:
        vars_ = file["layers/separable_conv2d/vars"]
        array = vars_["2"][()]
        del vars_["2"]
        change(file, vars_, array)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda f, v, a: None, "3 weights of the layer 'stem'"),
        (lambda f, v, a: v.create_group("2"), "isn't an array"),
        (lambda f, v, a: v.create_dataset("2", data=a[:-1]), "shape"),
        (lambda f, v, a: v.create_dataset("2", shape=(1 << 50,), chunks=(1 << 20,), dtype="f4"), "shape"),
        (lambda f, v, a: v.create_dataset("2", data=a.astype("i4")), "must be of"),
        (lambda f, v, a: v.create_dataset("2", data=np.array([b"a", b"b", b"c", b"d"])), "must be of"),
        (lambda f, v, a: v.create_dataset("2", shape=(4,), chunks=(1 << 20,), maxshape=(None,), dtype="f4"), "chunks"),
        (lambda f, v, a: v.__setitem__("2", h5py.SoftLink("/layers/separable_conv2d/vars/0")), "link"),
        (lambda f, v, a: v.__setitem__("2", h5py.ExternalLink("other.h5", "/x")), "link"),
        (lambda f, v, a: v.create_dataset("2", shape=(4,), dtype="f4", external=[("/dev/zero", 0, 16)]), "another file"),
        (lambda f, v, a: (v.create_dataset("2", data=a), v.create_dataset("3", data=a)), "3 weights"),
        (lambda f, v, a: (v.create_dataset("2", data=a), f.__setitem__("layers/other/vars/0", a)), "one layer"),
    ],
)
def test_an_h5_that_does_not_fit_is_refused_and_changes_nothing(tmp_path, change, message):
    path, saved = tmp_path / "w.weights.h5", layer()
    saved.save_weights(path)
    change_h5(path, change)
    kept = saved.get_weights()
    with pytest.raises(ValueError, match=message):
        saved.load_weights(path)
    assert same(saved.get_weights(), kept)


def test_a_model_refuses_layers_that_it_does_not_have(tmp_path):
    path = tmp_path / "w.weights.h5"
    model().save_weights(path)
    with pytest.raises(ValueError, match="isn't a layer here"):
        sepconv.Sequential([layer()]).load_weights(path)


@pytest.mark.parametrize("length", [0, 8, 100, 700, -1, -600])
def test_a_truncated_file_is_refused(path, length):
    saved = layer()
    saved.save_weights(path)
    path.write_bytes(path.read_bytes()[:length])
    kept = saved.get_weights()
    with pytest.raises(ValueError, match=r"w\."):
        saved.load_weights(path)
    assert same(saved.get_weights(), kept)


def npy(array=None, header=None):
    buffer = io.BytesIO()
    if header is None:
        np.lib.format.write_array(buffer, array, allow_pickle=True)
        return buffer.getvalue()
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def write_npz(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)


def entries(saved):
    return {f"{v.name}.npy": npy(v.numpy()) for v in saved.weights}


class Pickled:
    ran = False

    def __reduce__(self):
        return (setattr, (Pickled, "ran", True))


def with_entry(name, data):
    return lambda e: [*{**e, name: data}.items()]


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }\n"


@pytest.mark.parametrize(
    "change, message",
    [
        (with_entry("bias.npy", npy(np.array([Pickled()] * 4, object))), "'bias'"),
        (with_entry("bias.npy", pickle.dumps(Pickled())), "'bias'.*format"),
        (with_entry("bias.npy", npy(header=HUGE)), "'bias'.*shape"),
        (with_entry("bias.npy", npy(header="__import__('os').abort()\n")), "'bias'.*header"),
        (with_entry("bias.npy", npy(header="(" * 4000)), "'bias'.*header"),
        (with_entry("bias.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1)), "'bias'.*header"),
        (with_entry("bias.npy", npy(np.zeros(4, "f8"))), "'bias'.*dtype"),
        (with_entry("bias.npy", npy(np.zeros(4, ">f4"))), "'bias'.*dtype"),
        (with_entry("bias.npy", npy(np.zeros(4, "i4"))), "'bias'.*dtype"),
        (with_entry("bias.npy", npy(np.zeros((2, 2), "f4"))), "'bias'.*shape"),
        (with_entry("bias.npy", npy(np.zeros(4, "f4"))[:-1]), "'bias'.*16 bytes"),
        (with_entry("bias.npy", npy(np.zeros(4, "f4")) + b"x"), "'bias'.*16 bytes"),
        (with_entry("bias.npy", npy(np.zeros(4, "f4")) + b"x" * 9000), "'bias'.*declares"),
        (with_entry("bias.npy", b""), "'bias'.*format"),
        (with_entry("extra.npy", npy(np.zeros(4, "f4"))), "'extra'"),
        (with_entry("../../bias.npy", npy(np.zeros(4, "f4"))), "isn't a weight"),
        (lambda e: list(e.items())[:-1], "lacks the entry 'bias'"),
        (lambda e: [], "lacks the entry"),
        (lambda e: [*e.items(), *list(e.items())[:1]], "more than once"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_npz_that_does_not_fit_is_refused_and_changes_nothing(tmp_path, change, message):
    path, saved = tmp_path / "w.npz", layer()
    write_npz(path, change(entries(saved)))
    kept = saved.get_weights()
    with pytest.raises(ValueError, match=message):
        saved.load_weights(path)
    assert same(saved.get_weights(), kept) and not Pickled.ran


def test_weights_may_be_compressed_as_far_as_they_can(tmp_path):
    path = tmp_path / "w.npz"
    wide = sepconv.SeparableConv2D(50_000, 1, input_shape=(1, 1, 1), bias_initializer="ones", pointwise_initializer="zeros")
    np.savez_compressed(path, **{v.name: v.numpy() * 0 for v in wide.weights})
    assert path.stat().st_size * 100 < wide.bias.numpy().nbytes
    wide.load_weights(path)
    assert not wide.bias.numpy().any()


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path, saved = tmp_path / "w.npz", layer()
    bomb = npy(saved.bias.numpy()) + bytes(1 << 26)
    write_npz(path, {**entries(saved), "bias.npy": bomb}.items(), zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    assert len(data) < 1 << 17
    declared = struct.pack("<I", len(bomb))
    assert data.count(declared) == 2
    # Honest about its size, and not.
    for size, message in ((len(bomb), "declares"), (144, "'bias'")):
        path.write_bytes(data.replace(declared, struct.pack("<I", size)))
        tracemalloc.start()
        with pytest.raises(ValueError, match=message):
            saved.load_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, method):
    path, saved = tmp_path / "w.npz", layer()
    write_npz(path, entries(saved).items(), method)
    with pytest.raises(ValueError, match="must be stored or deflated"):
        saved.load_weights(path)


def test_a_file_larger_than_its_weights_is_refused_unread(tmp_path):
    path, saved = tmp_path / "w.npz", layer()
    with open(path, "wb") as stream:
        stream.truncate(1 << 40)  # a hole: takes no space
    with pytest.raises(ValueError, match="larger than its weights"):
        saved.load_weights(path)


def mutations(data, count, seed):
    """Flip, cut, repeat and insert bytes; half of the places are in the headers at the end, where most meaning is."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(mutant))) if rng.random() < 0.5 else max(0, len(mutant) - int(rng.integers(1, 300)))
            kind = rng.integers(5)
            if kind == 0:
                mutant[at] ^= 1 << rng.integers(8)
            elif kind == 1:
                mutant[at] = int(rng.choice([0, 1, 0x7F, 0xFF, 0x27]))
            elif kind == 2:
                del mutant[at : at + int(rng.integers(1, 40))]
            elif kind == 3:
                mutant[at:at] = mutant[at : at + int(rng.integers(1, 40))]
            else:
                mutant[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])))
            if not mutant:
                break
        yield bytes(mutant)


# Of each kind of file; a million in all before a release (see CONTRIBUTING.md).
MUTATIONS = int(os.environ.get("SEPCONV_TEST_MUTATIONS", "2000"))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_mutated_files_are_refused_or_read_and_never_worse(tmp_path, compression):
    path, saved = tmp_path / "w.npz", sepconv.SeparableConv2D(2, 1, input_shape=(4, 4, 2))
    write_npz(path, entries(saved).items(), compression)
    kept, refused, read = saved.get_weights(), 0, 0
    for mutant in mutations(path.read_bytes(), MUTATIONS, seed=5):
        path.write_bytes(mutant)
        try:
            arrays = npz.load(str(path), saved)
        except (ValueError, OSError):
            refused += 1
        else:
            # Bytes that mean nothing (dates, padding) may change; the checksum guards those that mean something.
            assert same(arrays, kept)
            read += 1
    assert refused > MUTATIONS / 2 and read > MUTATIONS / 200


def test_a_failed_save_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    saved = layer()
    saved.save_weights(path)
    kept = path.read_bytes()
    saved.set_weights([w * 2 for w in saved.get_weights()])

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        saved.save_weights(path)
    assert path.read_bytes() == kept and os.listdir(path.parent) == [path.name]


def test_a_save_replaces_and_leaves_no_temporary_file(path):
    for factor in (1, 2):
        saved = layer()
        saved.set_weights([w * factor for w in saved.get_weights()])
        saved.save_weights(path)
    other = layer()
    other.load_weights(path)
    assert same(other.get_weights(), saved.get_weights()) and os.listdir(path.parent) == [path.name]


def test_links_and_modes_are_those_of_open(path):
    plain = path.parent / "plain"
    plain.write_bytes(b"")
    target = path.parent / ("target" + path.name[1:])
    path.symlink_to(target)
    layer().save_weights(path)
    assert path.is_symlink() and target.stat().st_size > 0 and target.stat().st_mode == plain.stat().st_mode


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/w\.npz'"):
        layer().save_weights(tmp_path / "nowhere" / "w.npz")


@pytest.mark.parametrize("name", ["w.h5", "w.keras", "w", "w.npz.txt"])
def test_other_suffixes_are_refused(tmp_path, name):
    for call in (save_weights, load_weights):
        with pytest.raises(ValueError, match=r"'.npz' or '.weights.h5'"):
            call(tmp_path / name, layer())


@pytest.mark.parametrize("wrong", [3, None, io.BytesIO(), b"w.npz"])
def test_other_kinds_of_path_are_refused(wrong):
    for call in (save_weights, load_weights):
        with pytest.raises(TypeError, match="`filepath`"):
            call(wrong, layer())


@pytest.mark.parametrize(
    "make", [lambda: sepconv.SeparableConv2D(2, 3), lambda: sepconv.Sequential([sepconv.SeparableConv2D(2, 3)])]
)
def test_what_is_not_built_is_refused(path, make):
    layer().save_weights(path)
    for call in (save_weights, load_weights):
        with pytest.raises(ValueError, match="isn't built"):
            call(path, make())


def test_without_h5py_the_error_names_the_extra(tmp_path):
    code = (
        "import sys; sys.modules['h5py'] = None\n"
        "import sepconv\n"
        "layer = sepconv.SeparableConv2D(2, 3, input_shape=(4, 4, 3))\n"
        "layer.save_weights('w.npz'); layer.load_weights('w.npz')\n"
        "for call in (layer.save_weights, layer.load_weights):\n"
        "    try: call('w.weights.h5')\n"
        "    except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count('pip install "sepconv[h5]"') == 2 and os.listdir(tmp_path) == ["w.npz"]
