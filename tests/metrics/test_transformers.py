"""The vision transformers against a slow formulation in float64 that shares no code with them, and against transformers if it is there."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformer_cases import pixels, random_state

from genrev_cli.errors import FileError
from genrev_cli.metrics.transformers import CLIP, DINOV2, VisionTransformer, _resized, prepared

FAMILIES = {"dinov2": replace(DINOV2, side=20), "clip": CLIP}
"""DINOv2 on small images, where the positions need no interpolation."""


ATTENTION = {
    "dinov2": ("attention.attention.query", "attention.attention.key", "attention.attention.value", "attention.output.dense"),
    "clip": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
}


def slow(kind, state, images, epsilon):
    """The feature of each image by loops over tokens, heads and pairs of tokens, with NumPy in float64."""
    s = {name: tensor.double().numpy() for name, tensor in state.items()}
    own = kind == "dinov2"
    root, block_name = ("embeddings.", "encoder.layer.") if own else ("vision_model.embeddings.", "vision_model.encoder.layers.")
    patches = s[root + ("patch_embeddings.projection.weight" if own else "patch_embedding.weight")]
    bias = s[root + "patch_embeddings.projection.bias"] if own else 0
    cls = s[root + ("cls_token" if own else "class_embedding")].ravel()
    positions = s[root + ("position_embeddings" if own else "position_embedding.weight")].reshape(-1, len(cls))
    names = ATTENTION[kind]
    norms = ["norm1", "norm2"] if own else ["layer_norm1", "layer_norm2"]
    gelu = np.vectorize(lambda a: a * 0.5 * (1 + math.erf(a / math.sqrt(2)))) if own else lambda a: a / (1 + np.exp(-1.702 * a))

    def norm(name, x):
        return (x - x.mean()) / np.sqrt(x.var() + epsilon) * s[name + ".weight"] + s[name + ".bias"]

    def linear(name, x):
        return s[name + ".weight"] @ x + s[name + ".bias"]

    def attention(name, tokens):
        q, k, v = ([linear(name + part, token) for token in tokens] for part in names[:3])
        out = [np.zeros(len(cls)) for _ in tokens]
        for head in range(len(cls) // 64):
            part = slice(64 * head, 64 * (head + 1))
            for i in range(len(tokens)):
                weights = np.exp([q[i][part] @ k[j][part] / 8 for j in range(len(tokens))])
                out[i][part] = sum(weights[j] / weights.sum() * v[j][part] for j in range(len(tokens)))
        return [linear(name + names[3], token) for token in out]

    features, p = [], patches.shape[-1]
    for image in images.double().numpy():
        tokens = [cls]
        for row in range(0, image.shape[1], p):
            tokens += [(patches * image[:, row : row + p, at : at + p]).sum((1, 2, 3)) + bias for at in range(0, image.shape[2], p)]
        tokens = [token + position for token, position in zip(tokens, positions, strict=True)]
        tokens = tokens if own else [norm("vision_model.pre_layrnorm", token) for token in tokens]
        for block in range(2):
            name = f"{block_name}{block}."
            scales = [s[f"{name}layer_scale{i}.lambda1"] if own else 1 for i in (1, 2)]
            moved = attention(name, [norm(name + norms[0], token) for token in tokens])
            tokens = [token + scales[0] * step for token, step in zip(tokens, moved, strict=True)]
            hidden = [gelu(linear(name + "mlp.fc1", norm(name + norms[1], token))) for token in tokens]
            tokens = [token + scales[1] * linear(name + "mlp.fc2", h) for token, h in zip(tokens, hidden, strict=True)]
        feature = norm("layernorm" if own else "vision_model.post_layernorm", tokens[0])
        if not own:
            feature = s["visual_projection.weight"] @ feature
            feature = feature / np.linalg.norm(feature)
        features.append(feature)
    return np.stack(features)


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_slow_formulation(kind):
    state, family, x = random_state(kind), FAMILIES[kind], pixels(3)
    network = VisionTransformer(state, family)
    assert (network.width, network.depth, network.patch, network.side) == (128, 2, 4, 20)
    expected = slow(kind, state, prepared(x, family, 20), family.epsilon)
    found = network(x)
    assert found.shape == (3, network.dims) == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5 * np.abs(expected).max())
    assert np.abs(expected[0] - expected[1]).max() > 1e-3  # the images have different features


def of_transformers(folder, kind, config, state):
    """The network of the package transformers with these weights in a file, as it reads published ones."""
    transformers = pytest.importorskip("transformers")
    names = {"dinov2": ("Dinov2Config", "Dinov2Model"), "clip": ("CLIPVisionConfig", "CLIPVisionModelWithProjection")}[kind]
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 20, "patch_size": 4}
    getattr(transformers, names[0])(**sizes, **config).save_pretrained(folder)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return getattr(transformers, names[1]).from_pretrained(folder).eval()


def test_dinov2_of_transformers(tmp_path):
    state, x = random_state("dinov2", hidden=128), pixels(3)
    theirs = of_transformers(tmp_path, "dinov2", {"mlp_ratio": 1}, state)
    with torch.no_grad():
        expected = theirs(prepared(x, FAMILIES["dinov2"], 20)).pooler_output
    torch.testing.assert_close(VisionTransformer(state, FAMILIES["dinov2"])(x), expected, rtol=1e-4, atol=1e-5)


def test_clip_of_transformers(tmp_path):
    state, x = random_state("clip"), pixels(3)
    theirs = of_transformers(tmp_path, "clip", {"intermediate_size": 96, "projection_dim": 24}, state)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(theirs(prepared(x, CLIP, 20)).image_embeds)
    torch.testing.assert_close(VisionTransformer(state, CLIP)(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(28, 28), (20, 33), (300, 250)])
@pytest.mark.parametrize("kind", FAMILIES)
def test_images_are_resized_like_pillows(kind, size):
    x = pixels(1, (3, *size))
    family = FAMILIES[kind]
    picture = Image.fromarray(x[0].permute(1, 2, 0).numpy())
    if kind == "clip":
        least = min(size)
        left, top = (size[1] - least) // 2, (size[0] - least) // 2
        picture = picture.crop((left, top, left + least, top + least))
    for step in ((224, picture.height), (224, 224)):  # Pillow 13 may begin with the height
        picture = picture.resize(step, Image.Resampling.BICUBIC)
    expected = np.asarray(picture).transpose(2, 0, 1)
    mean, std = (np.array(values)[:, None, None] for values in (family.mean, family.std))
    found = (prepared(x, family, 224)[0].numpy() * std + mean) * 255
    assert np.abs(found - expected).max() < 1.01
    assert np.abs(found - expected).mean() < 0.05


def test_positions_keep_their_places():
    """Positions that grow linearly along both axes keep doing so where no border is near, with the scale (wanted + 0.1)/grid.

    torch's cubic (a = −0.75) bends straight lines by up to 0.05; the scale wanted/grid would move the last ones by 0.2.
    """
    grid, wanted = 37, 16
    row, column = torch.meshgrid(torch.arange(37.0), torch.arange(37.0), indexing="ij")
    positions = torch.cat([torch.tensor([[5.0, 7.0]]), torch.stack([row.ravel(), column.ravel()], dim=1)])
    found = _resized(positions, grid, wanted)
    assert found.shape == (257, 2)
    assert found[0].tolist() == [5, 7]
    places = (torch.arange(16) + 0.5) * grid / (wanted + 0.1) - 0.5
    inner = found[1:].reshape(16, 16, 2)[2:-2, 2:-2]
    torch.testing.assert_close(inner[:, 0, 0], places[2:-2], rtol=0, atol=0.06)
    torch.testing.assert_close(inner[0, :, 1], places[2:-2], rtol=0, atol=0.06)
    assert _resized(positions, 37, 37) is positions


def test_published_sizes_of_input():
    """DINOv2 always sees 224×224, whatever its positions; CLIP sees the size of its positions."""
    assert VisionTransformer(random_state("dinov2", width=64, blocks=1, patch=14, grid=37), DINOV2).side == 224
    assert VisionTransformer(random_state("clip", width=64, blocks=1, patch=14, grid=24), CLIP).side == 336


@pytest.mark.parametrize(
    ("kind", "name", "change", "message"),
    [
        ("dinov2", "embeddings.cls_token", None, "have no 'embeddings.cls_token'"),
        ("dinov2", "encoder.layer.1.mlp.fc2.bias", None, "have no 'encoder.layer.1.mlp.fc2.bias'"),
        ("dinov2", "encoder.layer.0.layer_scale1.lambda1", None, "have no 'encoder.layer.0.layer_scale1.lambda1'"),
        ("dinov2", "encoder.layer.0.mlp.fc1.weight", None, "have no 'encoder.layer.0.mlp.fc1.weight'"),  # ViT-g has a gated layer
        ("dinov2", "layernorm.weight", (5,), r"'layernorm' has shape \(5,\), not \(128,\)"),
        ("dinov2", "embeddings.position_embeddings", (1, 20, 128), "20 positions of 128 numbers"),
        ("clip", "visual_projection.weight", None, "have no 'visual_projection.weight'"),
        ("clip", "vision_model.pre_layrnorm.bias", (3,), r"'vision_model.pre_layrnorm' has shape \(3,\), not \(128,\)"),
        ("clip", "vision_model.encoder.layers.1.self_attn.q_proj.weight", (128, 64), r"q_proj' has shape \(128, 64\)"),
    ],
)
def test_weights_of_another_network(kind, name, change, message):
    state = random_state(kind)
    state.pop(name) if change is None else state.update({name: torch.zeros(change)})
    with pytest.raises(FileError, match=message):
        VisionTransformer(state, FAMILIES[kind])
