"""A network of every kind at a size that trains in milliseconds, and a chain of commands that all of them go through."""

TABLES = {
    "revnet": 'name = "revnet"\nscales = [{ blocks = 1, hidden = 4 }]',
    "inn": 'name = "inn"\nlevels = [{ couplings = 1, hidden = 4 }]\nhidden_dense = 4',
    "dense": 'name = "dense"\nhidden = [8]',
    "convolutional": 'name = "convolutional"\nstages = [{ channels = 4 }, { channels = 4, pool = true }]',
    "strided": 'name = "strided"\nchannels = [4, 4]\nvariational = true',
    "residual": 'name = "residual"\nwidth = 2',
    "infogan": 'name = "infogan"\nwidth = 2',
    "sngan": 'name = "sngan"\nwidth = 2',
    "sngan-resnet": 'name = "sngan-resnet"\nwidth = 2',
    "dcgan": 'name = "dcgan"\nwidth = 4\nstages = 2',
    "wgan-resnet": 'name = "wgan-resnet"\nchannels = [8, 4, 4]',
    "wgan-qc": 'name = "wgan-qc"\nwidth = 2\nmost = 4\nstages = 2',
}
RECIPE = """
[model]
{model}
[prior]
name = "active-gaussian"
dim = 3
bound = 0.0
choose = "first"
[pretrain-recon]
lr = 1e-3
weight_mmd = 1.0
batch = 8
steps = 2
[train-adversarial]
prior_samples = 8
hidden = [4, 4]
batch = 8
steps = 2
"""


def chain(folder, data, name):
    """Write the recipe of the network `name` into `folder` and return the commands of its chain, in order, as words."""
    recipe, recon, model = folder / "r.toml", folder / "recon.safetensors", folder / "adversarial.safetensors"
    recipe.write_text(RECIPE.format(model=TABLES[name]))
    commands = [
        ("pretrain-recon", "--data", data, "--recipe", recipe, "--out", recon, "--device", "cpu"),
        ("train-adversarial", "--ckpt", recon, "--out", model, "--device", "cpu"),
        ("encode", "--ckpt", model, "--out", folder / "codes.h5"),
        ("sample", "--ckpt", model, "-n", 12, "--out", folder / "samples.h5", "--grid", folder / "grid.png"),
        ("reconstruct", "--ckpt", model, "--out", folder / "rows.png"),
        ("interpolate", "--ckpt", model, "--out", folder / "between.png", "--split", "train"),
        ("traverse", "--ckpt", model, "--out", folder / "along.png"),
        ("fid", folder / "samples.h5", "--ref", data, "--split", "train", "--features", "pixel", "--out", folder / "fid.json"),
        ("fid", "--ckpt", model, "--ref", data, "--metrics", "recon", "--out", folder / "recon.json", "--json"),
        ("report", model, folder / "fid.json", folder / "codes.h5", folder / "rows.png", "--out", folder / "report.html"),
    ]
    return [[str(word) for word in words] for words in commands]
