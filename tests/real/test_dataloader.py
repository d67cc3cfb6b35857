"""PyTorch's DataLoader: what its workers un-shared by reading small records is shared again, and nothing else changes."""
import json

import pytest

from plain_and_heap import PYTHON, run, succeed

# Every worker reads all records before its first item, as one epoch after the other would. Prints the sum of the items, and for
# each worker how much of its memory is copies of pages (smaps' Anonymous counts none that it still shares with a file, but some 20 MB
# of libraries' data that it shares with its parent).
PROGRAM = """
import gc, json, os, sys, time, torch.utils.data
gc.disable()
SETTLED, WORKERS = 30 << 20, 2

class Records(torch.utils.data.Dataset):
    def __init__(self):
        self.records = [{"id": i, "path": f"image {i}", "label": i % 1000} for i in range(100_000)]
    def __len__(self):
        return len(self.records)
    def __getitem__(self, number):
        record = self.records[number]
        return record["id"] + len(record["path"]) + record["label"]

def read_all(worker):
    for record in torch.utils.data.get_worker_info().dataset.records:
        held = record["path"], record["id"]

def anonymous(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))

def workers():
    return [int(pid) for pid in open(f"/proc/self/task/{os.getpid()}/children").read().split()]

loader = torch.utils.data.DataLoader(Records(), batch_size=64, num_workers=WORKERS, collate_fn=sum, worker_init_fn=read_all,
                                     persistent_workers=True)
total = sum(loader)
end = time.monotonic() + float(sys.argv[1])
while max(map(anonymous, workers())) > SETTLED and time.monotonic() < end: time.sleep(0.1)
print(json.dumps({"total": total, "private": max(map(anonymous, workers()))}))
"""


def test_workers_share_their_records_again(heap):
    if run([PYTHON, "-c", "import torch"]).returncode:
        pytest.skip("python3-torch is not installed")
    command = [PYTHON, "-W", "ignore", "-c", PROGRAM]
    plain = json.loads(succeed([*command, 0]))
    ours = json.loads(succeed([*command, 60], heap, env={"PYTHONMALLOC": "malloc"}))
    assert plain["private"] > 120e6  # else the test shows nothing
    assert ours["total"] == plain["total"]
    assert ours["private"] <= 30 << 20
