"""What the tests of search have in common."""

from genrev_cli.settings.evaluation import EvalOptions
from genrev_cli.settings.schedule import RunOptions

SCORED = RunOptions(device="cpu", log_every=2, evaluation=EvalOptions(every=2, n=8, features="pixel"))

SPACE = """
[search]
train = "pretrain-recon"
recipe = "{recipe}"

[prior]
dim = {{ low = 2, high = 6 }}

[pretrain-recon]
lr = {{ low = 1e-4, high = 1e-2, log = true }}
batch = {{ choices = [4, 8] }}
steps = 6
"""
