"""What the processes of a run exchange, in a group of one."""

import gc
from pathlib import Path

import pytest
import torch.distributed as dist

from behemoth.train.agreement import Agreement


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_closed_exchange_leaves_no_connections(group):
    def held():
        gc.collect()  # of earlier tests
        return len(list(Path("/dev/fd").iterdir()))

    before = held()
    for _ in range(3):
        agreement = Agreement(2, 0)
        assert agreement.tell(5) == 5
        agreement.vote(1)
        agreement.end()
        assert held() > before
        agreement.close()
        assert held() <= before
