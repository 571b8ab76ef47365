"""What holds for all tests."""

import torch
from hypothesis import settings

settings.register_profile("tests", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("tests")

# Tensors are small here: threads would wait for each other longer than they work.
torch.set_num_threads(1)
