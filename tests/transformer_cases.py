"""Small random weights with the published names of DINOv2 and CLIP."""

import torch


def random_state(kind, *, width=128, blocks=2, patch=4, grid=5, hidden=96, dims=24, seed=0):
    """A state dict of DINOv2 or of CLIP's image encoder; norms near the identity, as after training."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(shape, generator=generator) / max(1, shape[-1]) ** 0.5  # noqa: E731
    norm = lambda name: {f"{name}.weight": 1 + 0.1 * draw(width), f"{name}.bias": 0.1 * draw(width)}  # noqa: E731
    layer = lambda name, out, of: {f"{name}.weight": draw(out, of), f"{name}.bias": 0.3 * draw(out)}  # noqa: E731
    state, positions = {}, grid**2 + 1
    if kind == "dinov2":
        state |= {"embeddings.cls_token": draw(1, 1, width), "embeddings.mask_token": draw(1, width)}
        state["embeddings.position_embeddings"] = draw(1, positions, width)
        state |= {"embeddings.patch_embeddings.projection.weight": draw(width, 3, patch, patch)}
        state |= {"embeddings.patch_embeddings.projection.bias": draw(width)} | norm("layernorm")
        place, names = "encoder.layer", ("attention.attention.query", "attention.attention.key", "attention.attention.value")
        out, norms = "attention.output.dense", ("norm1", "norm2")
    else:
        state |= {"vision_model.embeddings.class_embedding": draw(width), "visual_projection.weight": draw(dims, width)}
        state["vision_model.embeddings.position_embedding.weight"] = draw(positions, width)
        state |= {"vision_model.embeddings.patch_embedding.weight": draw(width, 3, patch, patch), "logit_scale": torch.tensor(4.6)}
        state |= norm("vision_model.pre_layrnorm") | norm("vision_model.post_layernorm")
        place, names = "vision_model.encoder.layers", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        out, norms = "self_attn.out_proj", ("layer_norm1", "layer_norm2")
    for block in range(blocks):
        for name in (*names, out):
            state |= layer(f"{place}.{block}.{name}", width, width)
        state |= layer(f"{place}.{block}.mlp.fc1", hidden, width) | layer(f"{place}.{block}.mlp.fc2", width, hidden)
        for name in norms:
            state |= norm(f"{place}.{block}.{name}")
        if kind == "dinov2":
            state |= {f"{place}.{block}.layer_scale{i}.lambda1": draw(width) for i in (1, 2)}
    return state


def pixels(n, shape=(3, 20, 20), seed=0):
    return torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
